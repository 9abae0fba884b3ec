"""Regions of a face that open."""

import numpy as np
import pytest

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.regions import MOUTH, lip_arcs

# Inner lips from the right corner: three points of the upper lip, the left corner, three of the lower lip.
OPEN = np.array([[0, 0], [35, -18], [50, -20], [65, -18], [100, 0], [65, 28], [50, 30], [35, 28]], float)


def height_at(outline, x):
    """Upper and lower height of an outline at a column."""
    upper, lower = outline[: len(outline) // 2], outline[len(outline) // 2 :][::-1]
    return np.interp(x, *upper.T), np.interp(x, *lower.T)


def test_an_open_mouth_is_rounder_than_its_landmarks():
    outline = lip_arcs(OPEN)
    for point in OPEN[[1, 2, 3]]:
        assert height_at(outline, point[0])[0] == pytest.approx(point[1], abs=0.5)
    for point in OPEN[[5, 6, 7]]:
        assert height_at(outline, point[0])[1] == pytest.approx(point[1], abs=0.5)
    upper, lower = height_at(outline, 15)
    assert -18 < upper < 1.3 * -18 * 15 / 35 and 28 > lower > 1.3 * 28 * 15 / 35  # more than the polygon
    np.testing.assert_allclose([outline[0], outline[16]], OPEN[[0, 4]], atol=1e-9)


def test_arcs_turn_with_the_mouth():
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    np.testing.assert_allclose(lip_arcs(OPEN @ turn + 7), lip_arcs(OPEN) @ turn + 7, atol=1e-9)


def test_lips_that_touch_have_no_inside():
    closed = OPEN * [1, 0]
    np.testing.assert_allclose(lip_arcs(closed)[:, 1], 0, atol=1e-9)


def test_a_mouth_of_one_point_has_an_outline():
    """A face in the distance may have a mouth without width."""
    assert np.isfinite(lip_arcs(np.full((8, 2), 3.0))).all()


def test_the_mask_of_a_mouth_covers_its_arcs():
    points = np.zeros((70, 2), np.float32)
    points[60:68] = OPEN + [20, 60]
    mask = MOUTH.mask(Landmarks(points), 160)
    assert mask[60, 70] > 0.9 and mask[60 + 14, 20 + 12] > 0.5  # where the polygon is 9.6 pixels high
    assert mask[60 - 30, 70] == 0
