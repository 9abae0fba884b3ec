"""What colours a face has, and paint for it."""

import numpy as np

from fewshot_heads.colours import face_colour, palette


def test_paint_takes_the_cast_of_a_painting_and_none_of_a_dark_face():
    for skin in ((200, 150, 130), (140, 105, 90), (102, 66, 54), (70, 44, 35)):  # light to dark, in white light
        assert np.abs(np.diag(palette(np.array(skin, float))) - 1).max() < 0.1
    red, green, blue = np.diag(palette(np.array([150.0, 105, 40])))  # old varnish
    assert red > 1.05 and blue < 0.7
    np.testing.assert_allclose(palette(np.full(3, 90.0)), 1 / 3)
    np.testing.assert_array_equal(palette(np.zeros(3)), np.eye(3))


def test_the_colour_of_a_face_is_that_within_its_hull(reenactor, mona):
    points = reenactor.detectors[0].detect(mona)[0].points
    left, top, right, bottom = (*points.min(0).astype(int), *points.max(0).astype(int))
    picture = np.full_like(mona, (10, 250, 10))
    picture[top - 2 : bottom + 3, left - 2 : right + 3] = (120, 90, 60)
    np.testing.assert_allclose(face_colour(picture, points), (120, 90, 60), rtol=1e-12)  # a mean, rounded
    np.testing.assert_array_equal(face_colour(picture, points + 10_000), 0)  # a face that has left the picture
    assert (face_colour(mona, points) > 20).all()
