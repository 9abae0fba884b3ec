"""Positions in the triangulation of points are those that scipy finds."""

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE
from fewshot_heads.landmarks.triangulation import delaunay, locate

POINTS = 20 * np.vstack([MEAN_HEAD, MEAN_SURFACE])[:, :2].astype(np.float64)
POSITIONS = np.random.default_rng(0).uniform(POINTS.min(0) - 3, POINTS.max(0) + 3, (2000, 2))


def areas(triangles):
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2


def test_the_triangulation_covers_the_convex_hull_once():
    expected = areas(POINTS[Delaunay(POINTS).simplices]).sum()
    np.testing.assert_allclose(areas(POINTS[delaunay(POINTS)]).sum(), expected, rtol=1e-3)


def test_values_between_points_are_interpolated_in_the_same_triangles():
    depth = np.random.default_rng(1).normal(size=len(POINTS))
    corners, shares, inside = locate(POINTS, POSITIONS)
    expected = LinearNDInterpolator(POINTS, depth)(POSITIONS)
    assert (inside == ~np.isnan(expected)).mean() > 0.998
    both = inside & ~np.isnan(expected)
    np.testing.assert_allclose((depth[corners] * shares).sum(1)[both], expected[both], atol=1e-3)


def test_shares_give_the_position_again_inside_and_outside():
    corners, shares, inside = locate(POINTS, POSITIONS)
    assert 0 < inside.sum() < len(inside)
    np.testing.assert_allclose((POINTS[corners] * shares[..., None]).sum(1), POSITIONS, atol=1e-6)
    assert (shares[inside] > -1e-6).all()
    assert (shares[~inside].min(1) < 0).all()


def test_points_in_one_place_are_one_corner():
    points = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1], [1, 1]])
    assert len(delaunay(points)) == 2
    assert locate(points, np.array([[0.9, 0.9]])).inside.all()
