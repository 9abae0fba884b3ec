"""Where in its picture a head is cut out."""

import cv2
import numpy as np
import pytest

from fewshot_heads.framing import framed_alike, raised
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.geometry import MEAN_HEAD, Crop
from fewshot_heads.matte import person
from tests.test_backdrop import scene


@pytest.fixture(scope="module")
def wall():
    return scene(0)


def test_frames_of_one_video_share_a_crop_and_other_pictures_keep_theirs(driver_frames, mona, reenactor):
    images = [driver_frames[0], driver_frames[-1], mona]
    faces = [reenactor.detectors[0].detect(image)[0] for image in images]
    crops = [Crop.around([face], 256) for face in faces]
    first, second, other = framed_alike(images, faces, crops)
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
    assert framed_alike([frame, frame], [face, there], crops) == crops


def test_a_shared_crop_never_loses_a_face_or_cuts_one_off(wall):
    frame = np.repeat(np.repeat(wall, 8, axis=0), 8, axis=1)
    mean = np.array(MEAN_HEAD, float)
    for odd in (mean * 200 + [512, 460, 0], mean * 40 + [900, 200, 0]):
        faces = [Landmarks.from_array(points) for points in (odd, *[mean * 90 + [512, 512, 0]] * 7)]
        crops = [Crop.around([each], 256) for each in faces]
        for crop, each in zip(framed_alike([frame] * 8, faces, crops), faces, strict=True):
            box = crop.to_crop(each).box
            assert box.min() >= 0 and box.max() <= 256
            assert np.ptp(box.reshape(2, 2), axis=0).max() < 256 / 1.5


def test_a_crop_is_raised_for_hair_as_far_as_the_picture_goes(reenactor, mona):
    face = reenactor.detectors[0].detect(mona)[0]
    crop = Crop.around([face], 256)
    up = raised(mona, face, crop)
    assert (up.left, up.side, up.size) == (crop.left, crop.side, crop.size)
    assert 0 < crop.top - up.top <= 0.12 * crop.side
    above = person(up.cut(mona))[:4]
    assert above.max() < 0.1 < person(crop.cut(mona))[:4].max()
    cut = mona[int(crop.top) + 3 :]
    lower = Crop(crop.left, -3, crop.side, crop.size)
    assert raised(cut, face.moved(np.float32([0, crop.top + 3])), lower) == lower
    roomy = cv2.copyMakeBorder(mona, 100, 0, 0, 0, cv2.BORDER_REPLICATE)
    enough = Crop(crop.left, crop.top + 100 - 40, crop.side, crop.size)
    assert raised(roomy, face.moved(np.float32([0, -100])), enough) == enough
