"""Points that are splatted into a map."""

import numpy as np
import pytest

from fewshot_heads.imaging.splatting import splat
from fewshot_heads.imaging.warping import grid_positions

NEAR, FAR = 0.0, 5.0
TOLERANCE = 1.0


def plane(size, depth, zoom=1.0):
    """Points of a plane, one a cell."""
    positions = zoom * grid_positions(size).reshape(-1, 2)
    return np.column_stack([positions, np.full(len(positions), depth, np.float32)])


def weights(points):
    return np.ones(len(points), np.float32)


def numbers(value, count):
    return np.full((count, 1), value, np.float32)


def test_points_that_stay_keep_their_values():
    points = plane(16, NEAR)
    result = splat(points, points[:, :2], weights(points), 16, TOLERANCE)
    np.testing.assert_allclose(result.values, grid_positions(16), atol=1e-5)
    assert result.coverage.min() == pytest.approx(1, abs=1e-5)


def test_the_nearer_surface_hides_the_farther():
    points = np.concatenate([plane(16, FAR), plane(16, NEAR, zoom=0.5)])
    values = np.concatenate([numbers(0, 256), numbers(1, 256)])
    shown = splat(points, values, weights(points), 16, TOLERANCE).values[..., 0]
    np.testing.assert_allclose(shown[5:11, 5:11], 1, rtol=1e-6)
    assert np.abs(shown[:3]).max() == 0


def test_a_transparent_point_hides_nothing_and_shows_where_nothing_else_is():
    points = np.concatenate([plane(16, FAR)[:128], plane(16, NEAR)])
    values = np.concatenate([numbers(0, 128), numbers(1, 256)])
    faint = np.concatenate([np.ones(128, np.float32), np.full(256, 1e-3, np.float32)])
    shown = splat(points, values, faint, 16, 9.0).values[..., 0]
    assert shown[:7].max() < 0.01 and shown[9:].min() > 0.99


def test_gaps_of_a_stretched_surface_are_closed_and_the_space_around_it_is_not():
    points = plane(8, NEAR, zoom=0.7)  # 8 x 8 points on 16 x 16 cells
    result = splat(points, points[:, :2], weights(points), 16, TOLERANCE)
    assert result.coverage[4:12, 4:12].min() > 0.3 and result.coverage[0].max() == 0
    wrong = result.values[4:12, 4:12] - grid_positions(16)[4:12, 4:12]
    assert np.abs(wrong).max() < 1 / 16  # half a cell


def test_points_outside_the_map_are_left_out():
    points = plane(16, NEAR)
    points[..., 0] += 5
    assert splat(points, points[:, :2], weights(points), 16, TOLERANCE).coverage.max() == 0
