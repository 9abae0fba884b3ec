"""Where in its picture a head is cut out."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.pose import MEAN_HEAD
from fewshot_heads.rendering.parsing import person_matte
from fewshot_heads.rendering.source_crop import _above_mouth, expand_crop_for_hair, shared_crop
from tests.rendering.test_background import scene


@pytest.fixture(scope="module")
def wall():
    return scene(0)


def test_frames_of_one_video_share_a_crop_and_other_pictures_keep_theirs(driver_frames, mona, reenactor):
    images = [driver_frames[0], driver_frames[-1], mona]
    faces = [reenactor.detectors[0].detect(image)[0] for image in images]
    crops = [Crop.around([face], 256) for face in faces]
    first, second, other = shared_crop(images, faces, crops)
    assert first == second == Crop.around(faces[:2], 256)
    assert other == crops[2]
    head = reenactor.embed(images[:2])
    assert head.crop == first


def test_a_head_that_wanders_is_not_made_small(wall):
    """Six heads' widths between two places: a square for both would be too large."""
    frame = np.repeat(np.repeat(wall, 2, axis=0), 8, axis=1)
    face = Landmarks.from_array(np.array(MEAN_HEAD, float) * 50 + [800, 128, 0])
    there = face.moved(np.array([-700.0, 0.0], np.float32), 1.0)
    crops = [Crop.around([each], 256) for each in (face, there)]
    assert shared_crop([frame, frame], [face, there], crops) == crops


def test_a_shared_crop_never_loses_a_face_or_cuts_one_off(wall):
    frame = np.repeat(np.repeat(wall, 8, axis=0), 8, axis=1)
    mean = np.array(MEAN_HEAD, float)
    for odd in (mean * 200 + [512, 460, 0], mean * 40 + [900, 200, 0]):
        faces = [Landmarks.from_array(points) for points in (odd, *[mean * 90 + [512, 512, 0]] * 7)]
        crops = [Crop.around([each], 256) for each in faces]
        for crop, each in zip(shared_crop([frame] * 8, faces, crops), faces, strict=True):
            box = crop.to_crop(each).box
            assert box.min() >= 0 and box.max() <= 256
            assert np.ptp(box.reshape(2, 2), axis=0).max() < 256 / 1.5


def test_a_crop_is_raised_for_hair_as_far_as_the_picture_goes(reenactor, mona):
    face = reenactor.detectors[0].detect(mona)[0]
    crop = Crop.around([face], 256)
    up = expand_crop_for_hair(mona, face, crop)
    assert 0 < crop.top - up.top <= 0.12 * crop.side
    above = person_matte(up.cut(mona))[:4]
    assert above.max() < 0.1 < person_matte(crop.cut(mona))[:4].max()
    cut = mona[int(crop.top) + 3 :]
    lower = Crop(crop.left, -3, crop.side, crop.size)
    assert expand_crop_for_hair(cut, face.moved(np.float32([0, crop.top + 3])), lower).top >= lower.top
    more = cv2.copyMakeBorder(mona, 100, 0, 0, 0, cv2.BORDER_REPLICATE)
    enough = Crop(crop.left, crop.top + 100 - 40, crop.side, crop.size)
    wider = expand_crop_for_hair(more, face.moved(np.float32([0, -100])), enough)
    assert abs((wider.top + wider.side / 2) - (enough.top + enough.side / 2)) <= 1


def test_a_crop_is_wide_enough_for_a_hat_as_far_as_the_picture_goes(reenactor, mona):
    face = reenactor.detectors[0].detect(mona)[0]
    crop, (x, y) = Crop.around([face], 256), face.points[27]
    hat, reach = mona.copy(), int(0.6 * crop.side)
    cv2.rectangle(hat, (int(x) - reach, int(y) - 45), (int(x) + reach, int(y) - 20), (60, 40, 30), -1)
    wide, usual = expand_crop_for_hair(hat, face, crop), expand_crop_for_hair(mona, face, crop)
    assert 1.1 * usual.side < wide.side <= 1.4 * crop.side
    assert wide.left >= 0 and wide.left + wide.side <= mona.shape[1]
    edge = int(crop.left)
    narrow = hat[:, edge : edge + int(crop.side)]  # the picture ends where the crop does: there is nothing to be had
    moved = replace(crop, left=crop.left - edge)
    assert expand_crop_for_hair(narrow, face.moved(np.float32([edge, 0])), moved).side <= 1.05 * crop.side


def test_where_nobody_is_found_the_crop_stays(reenactor, mona, monkeypatch):
    face = reenactor.detectors[0].detect(mona)[0]
    monkeypatch.setattr(
        "fewshot_heads.rendering.source_crop.person_matte", lambda picture: np.zeros(picture.shape[:2], np.float32)
    )
    crop = Crop.around([face], 256)
    assert expand_crop_for_hair(mona, face, crop) == crop


def test_a_wider_crop_holds_no_more_mirror_image_than_the_usual_one(reenactor, mona):
    face = reenactor.detectors[0].detect(mona)[0]
    low = int(face.points[8, 1]) + 12
    cut, crop = mona[:low], Crop.around([face], 256)  # the picture ends below the chin
    beyond = crop.top + crop.side - low
    wide = expand_crop_for_hair(cut, face, crop)
    assert beyond > 20 and wide.top + wide.side - low <= beyond + 1
    assert wide.left >= min(crop.left, 0) and wide.left + wide.side <= max(crop.left + crop.side, mona.shape[1])


def test_what_is_above_a_mouth_turns_with_the_head():
    upright = np.array(MEAN_HEAD, float) * 50 + [128, 128, 0]
    sideways = upright.copy()
    sideways[:, 0], sideways[:, 1] = 256 - upright[:, 1], upright[:, 0]
    above, beside = (_above_mouth(np.ones((256, 256)), Landmarks.from_array(each)) for each in (upright, sideways))
    assert 0.3 < above.mean() < 0.7 and above[:40].all() and not above[-40:].any()
    assert (np.rot90(above, -1) == beside).mean() > 0.98
