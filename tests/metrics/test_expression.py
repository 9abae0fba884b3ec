"""Measures of expression, on faces and images with known answers."""

import cv2
import numpy as np
import pytest

from fewshot_heads import metrics
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import LEFT_IRIS, RIGHT_IRIS
from fewshot_heads.landmarks.pose import MEAN_HEAD

LIPS = np.array([[10, 20], [14, 17], [20, 16], [26, 17], [30, 20], [26, 25], [20, 26], [14, 25]], float)


def scores(movement, values):
    result = np.zeros((len(values), 52))
    result[:, metrics.MOVEMENTS[movement]] = np.array(values)[:, None]
    return result


def face(inner_lips=LIPS):
    points = np.zeros((70, 2))
    points[60:68] = inner_lips
    return points


@pytest.mark.parametrize("movement", metrics.MOVEMENTS)
def test_a_movement_that_follows_correlates_however_large_it_is(movement):
    driver = scores(movement, [0, 0.5, 0.2, 0.9])
    assert metrics.movement_correlations(0.1 + 0.3 * driver, driver)[movement] == pytest.approx(1)
    assert metrics.movement_correlations(0.9 - driver, driver)[movement] == pytest.approx(-1)
    assert metrics.movement_correlations(np.zeros((4, 52)), driver)[movement] == 0


def test_a_movement_that_the_driver_does_not_make_has_no_correlation():
    driver = scores("jaw", [0.5, 0.51, 0.5, 0.49])
    assert all(np.isnan(list(metrics.movement_correlations(driver, driver).values())))
    driver = scores("jaw", [0, 1, 0.5, np.nan])
    driver[0] = np.nan
    assert np.isnan(metrics.movement_correlations(driver, driver)["jaw"]), "two frames are too few"


def test_brows_that_follow_correlate_at_any_size_of_the_face():
    heads = np.stack([np.array(MEAN_HEAD, float)] * 4)
    heads[:, 17:27, 1] -= np.array([0, 0.05, 0.02, 0.04])[:, None]
    assert metrics.brow_correlation(70 * heads + [9, 5, 0], 200 * heads) == pytest.approx(1)
    assert metrics.brow_correlation(heads[[1, 0, 3, 2]], heads) < 0
    assert metrics.brow_correlation(heads[[0] * 4], heads) == 0, "brows that stay do not follow"
    assert np.isnan(metrics.brow_correlation(heads, heads[[0] * 4])), "a driver who does not move them"
    heads[:2] = np.nan
    assert np.isnan(metrics.brow_correlation(heads, heads)), "two frames are too few"
    with pytest.raises(BadInput, match="70"):
        metrics.brow_correlation(heads[:, :68], heads)


def test_the_gaze_is_the_angle_of_an_eyeball():
    ahead, aside = (np.array(MEAN_HEAD, float) for _ in range(2))
    width = np.linalg.norm(MEAN_HEAD[39] - MEAN_HEAD[36])
    aside[[RIGHT_IRIS, LEFT_IRIS], 0] += 0.41 * np.sin(np.radians(15)) * width
    missing, shut = np.full((70, 3), np.nan), aside.copy()
    shut[[37, 38], 1] = shut[[41, 40], 1]
    degrees = metrics.gaze(100 * np.stack([ahead, aside, missing, shut]))
    np.testing.assert_allclose((degrees[1] - degrees[0]), [15, 0], atol=0.7)
    assert np.isnan(degrees[2:]).all(), "no face, and an eye that shows no iris"
    with pytest.raises(BadInput, match="70"):
        metrics.gaze(ahead[:68][None])


def test_teeth_that_change_flicker_and_a_mouth_that_moves_does_not():
    texture = cv2.GaussianBlur(np.random.default_rng(0).random((64, 64, 3)), (0, 0), 2)
    moved = np.roll(texture, 5, 1)
    assert metrics.mouth_flicker(np.stack([texture, moved]), np.stack([face(), face(LIPS + [5, 0])])) < 1e-6
    assert metrics.mouth_flicker(np.stack([texture, texture + 0.1]), np.stack([face()] * 2)) == pytest.approx(0.1)


def test_closed_lips_and_missing_faces_do_not_flicker():
    closed = LIPS * [1, 0.1]
    images = np.random.default_rng(0).random((2, 64, 64, 3))
    assert np.isnan(metrics.mouth_flicker(images, np.stack([face(), face(closed)])))
    assert np.isnan(metrics.mouth_flicker(images, np.stack([face(), face(np.full((8, 2), np.nan))])))
    with pytest.raises(BadInput, match="2 images"):
        metrics.mouth_flicker(images, face()[None])


def test_the_expression_error_is_the_mean_difference_of_blendshapes():
    a = np.zeros((3, 52))
    b = a.copy()
    b[0, 25], b[1], b[2, 0] = 0.52, 0.3, np.nan
    np.testing.assert_allclose(metrics.expression_error(a, b), [0.01, 0.3, np.nan])
    with pytest.raises(BadInput, match="expected \\[N,52\\]"):
        metrics.expression_error(a[:, 1:], b[:, 1:])
