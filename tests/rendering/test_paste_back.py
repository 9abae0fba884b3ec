import cv2
import numpy as np

from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.layers.parsing import person_matte
from fewshot_heads.rendering.paste_back import Paster


def picture(height=300, width=400):
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def test_the_crop_itself_pasted_back_changes_nothing():
    image = picture()
    for crop in (Crop(60, 40, 200, 200), Crop(61, 40, 203, 203), Crop(-20, -30, 220, 220)):
        assert (
            np.abs(Paster(image, crop, person_matte(crop.cut(image))).paste(crop.cut(image)).astype(int) - image).max()
            <= 2
        )


def test_outside_the_crop_every_pixel_stays():
    image, crop = picture(), Crop(60, 40, 200, 256)
    result = Paster(image, crop, person_matte(crop.cut(image))).paste(np.full((256, 256, 3), 255, np.uint8))
    changed = np.abs(result.astype(int) - image).max(-1) > 0
    assert changed[140, 160] and not changed[:40].any() and not changed[:, :60].any() and not changed[240:].any()


def test_a_drifted_color_leaves_no_seam():
    image, crop = np.full((300, 400, 3), 120, np.uint8), Crop(60, 40, 200, 256)
    drifted = np.full((256, 256, 3), 128, np.uint8)
    result = Paster(image, crop, person_matte(crop.cut(image))).paste(drifted).astype(int)
    steps = np.abs(np.diff(result, axis=1)).max()
    assert steps <= 2 and np.abs(result[40:60, 60:260] - 120).max() <= 4


def test_a_head_that_moves_to_the_border_leaves_the_wall_as_it_is():
    image, crop = np.full((300, 400, 3), 120, np.uint8), Crop(60, 40, 200, 256)
    frame = np.full((256, 256, 3), 120, np.uint8)
    frame[80:200, 170:240] = 20
    result = Paster(image, crop, np.zeros((256, 256), np.float32)).paste(frame).astype(int)
    wall = cv2.dilate((cv2.resize(frame, (200, 200)) < 110).astype(np.uint8), np.ones((9, 9)))[..., 0] == 0
    assert np.abs(result[40:240, 60:260] - 120)[wall].max() == 0


def test_a_crop_that_reaches_beyond_the_picture_is_cut_and_has_no_seam_there():
    image, crop = picture(), Crop(-50, -50, 250, 256)
    frame = np.full((256, 256, 3), 200, np.uint8)
    result = Paster(image, crop, person_matte(crop.cut(image))).paste(frame)
    assert result.shape == image.shape
    assert np.abs(result[0, 0].astype(int) - 200).max() <= 13, "the picture's own edge is not faded"


def test_the_seam_is_narrow_where_background_crosses_it_and_wide_where_a_person_does(mona):
    height, width = mona.shape[:2]
    crop = Crop(20, 8, width - 40, 256)  # the hair ends inside, the shoulders do not
    alpha = Paster(mona, crop, person_matte(crop.cut(mona)))._alpha
    row = round(0.05 * crop.side)
    assert alpha[row, 40:60].min() > 0.99, "beside the head, above"
    assert 0.2 < alpha[-row, len(alpha) // 2] < 0.8
