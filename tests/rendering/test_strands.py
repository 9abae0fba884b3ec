"""The paint of the back of a head."""

import cv2
import numpy as np

from fewshot_heads.rendering.strands import around_head, paint_hair, uneven_ends

SIDE = 128


def band_of_hair(noise, color=(90.0, 60.0, 40.0)):
    """An image of a head with a band of hair above, and where it is."""
    image = np.full((SIDE, SIDE, 3), (200, 160, 130), np.float32)
    hair = np.zeros((SIDE, SIDE), bool)
    hair[10:100] = True
    grain = 1 + noise * np.random.default_rng(1).standard_normal((SIDE, SIDE, 1))
    image[hair] = (color * grain)[hair]
    return image.clip(0, 255).astype(np.uint8), hair


def test_paint_has_the_colors_of_the_hair_and_none_of_the_skin():
    painted = paint_hair(*band_of_hair(0.0))
    assert painted.shape == (SIDE, 2 * SIDE, 3)
    np.testing.assert_allclose(painted, np.broadcast_to([90, 60, 40], painted.shape), atol=1)


def test_strands_are_as_strong_as_the_hair_and_run_downward():
    deviations = []
    for noise in (0.1, 0.2):
        painted = paint_hair(*band_of_hair(noise)).mean(-1)
        across, along = np.abs(np.diff(painted, axis=1)).mean(), np.abs(np.diff(painted, axis=0)).mean()
        assert across > 2.5 * along
        deviations.append(painted.std() / painted.mean())
    assert 1.6 < deviations[1] / deviations[0] < 2.2


def test_the_edge_of_a_cap_makes_no_stripes():
    image, hair = band_of_hair(0.02)
    image[10:14], plain = (160, 200, 220), paint_hair(*band_of_hair(0.02))
    with_cap = paint_hair(image, hair)
    assert contrast(with_cap) < 2 * contrast(plain)


def contrast(image):
    """How far the levels of an image deviate from those to the left and the right."""
    level = np.log(image.mean(-1))
    return (level - cv2.GaussianBlur(level, (49, 1), 8)).std()


def test_the_front_is_a_mirror_image_of_the_back():
    values = np.arange(4 * 8).reshape(4, 8)
    around = around_head(values)
    np.testing.assert_array_equal(around[:, 4:12], values)
    np.testing.assert_array_equal(around[:, 3], values[:, 0])
    np.testing.assert_array_equal(around[:, 0], around[:, -1] - 1)  # both are the middle of the face


def test_hair_does_not_end_at_a_line():
    ends = uneven_ends(400)
    assert ends.std() > 0.99 and np.abs(np.diff(ends)).max() < 1.5
