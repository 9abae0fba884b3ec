"""What colors a face has, and paint for it."""

import numpy as np
import pytest

from fewshot_heads.imaging.face_color import FaceColor

VARNISHED = np.array([150.0, 105, 40])


def test_paint_takes_the_cast_of_a_painting_and_none_of_a_dark_face():
    for skin in ((200, 150, 130), (140, 105, 90), (102, 66, 54), (70, 44, 35)):  # light to dark, in white light
        assert np.abs(np.diag(FaceColor(np.array(skin, float)).color_matrix) - 1).max() < 0.1
    red, green, blue = np.diag(FaceColor(VARNISHED).color_matrix)
    assert red > 1.05 and blue < 0.7
    np.testing.assert_allclose(FaceColor(np.full(3, 90.0)).color_matrix, 1 / 3)
    np.testing.assert_array_equal(FaceColor(np.zeros(3)).color_matrix, np.eye(3))


def test_the_white_of_the_eyes_tells_golden_light_from_golden_skin():
    skin = np.array([130.0, 88, 50])
    whites = (None, np.array([170.0, 125, 75]), np.full(3, 150.0))
    unknown, golden, white = (FaceColor(skin, eyes).channel_gains for eyes in whites)
    assert golden[2] < unknown[2] - 0.1 < 0.8 and golden[0] > unknown[0]
    np.testing.assert_array_equal(white, unknown)  # the skin is unusual enough to be the picture's all the same
    pale = np.array([177.0, 149, 144])  # bluish eyes in a pale face, in white light
    np.testing.assert_array_equal(
        FaceColor(pale, np.array([96.0, 101, 106])).channel_gains, FaceColor(pale).channel_gains
    )


def test_colors_of_a_face_are_those_within_its_hull_and_the_palest_of_its_eyes(reenactor, mona):
    points = reenactor.detectors[0].detect(mona)[0].points
    left, top, right, bottom = (*points.min(0).astype(int), *points.max(0).astype(int))
    picture = np.full_like(mona, (10, 250, 10))
    picture[top - 2 : bottom + 3, left - 2 : right + 3] = (120, 90, 60)
    found = FaceColor.of(picture, points)
    np.testing.assert_allclose(found.skin, (120, 90, 60), rtol=1e-12)  # a mean, rounded
    assert found.white == pytest.approx(found.skin)
    gone = FaceColor.of(picture, points + 10_000)
    assert not gone.skin.any() and gone.white is None
    real = FaceColor.of(mona, points)
    assert (real.skin > 20).all()
    red, _, blue = real.white / real.skin
    assert red < blue and red / blue > 0.7, "paler than skin, but golden like all of the painting"


def test_shut_eyes_say_nothing_of_their_white(reenactor, mona):
    points = reenactor.detectors[0].detect(mona)[0].points.copy()
    for eye in (slice(36, 42), slice(42, 48)):
        points[eye, 1] = points[eye, 1].mean()
    assert FaceColor.of(np.zeros_like(mona) + np.uint8([120, 90, 60]), points).white is None
