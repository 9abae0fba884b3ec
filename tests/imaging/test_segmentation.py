"""Which of a picture is person."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from fewshot_heads.imaging.segmentation import person_matte
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.rendering.renderer import HeadRenderer


def test_a_face_is_person_and_the_corners_above_are_not(reenactor, mona):
    matte = person_matte(mona)
    assert matte.dtype == np.float32 and matte.shape == mona.shape[:2] and 0 <= matte.min() < matte.max() <= 1
    points = control_points(reenactor.detectors[0].detect(mona)[0])[:68]
    inside = np.zeros(mona.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points.astype(np.int32)), 1)
    assert matte[inside > 0].mean() > 0.98
    assert matte[:40, :40].max() < 0.1 and matte[:40, -40:].max() < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (33, 700), (512, 512)])
@pytest.mark.parametrize("gray", [0, 128, 255])
def test_a_picture_of_nothing_has_numbers_too(shape, gray):
    matte = person_matte(np.full((*shape, 3), gray, np.uint8))
    assert matte.shape == shape and np.isfinite(matte).all() and 0 <= matte.min() <= matte.max() <= 1


def test_the_background_stays_where_a_head_goes(reenactor, mona):
    """Beside the head, before and after, every pixel is the image's: none has gone along with the hair."""
    head = reenactor.embed([mona])
    renderer = HeadRenderer(head, reenactor.networks.generator, reenactor.size, reenactor.device)
    image, source_face = head.crop.cut(mona), head.landmarks[0]
    moved = [source_face.moved(np.float32([offset * reenactor.size, 0])) for offset in (-0.08, 0.08)]
    shift = round(0.08 * reenactor.size)
    matte = cv2.dilate(person_matte(image), np.ones((9, 9)))
    for frame, offset in zip(renderer.render(moved, large=False), (shift, -shift), strict=True):
        head_area = np.maximum(matte, np.roll(matte, offset, axis=1))
        free = (head_area < 0.02) & (np.arange(len(head_area))[:, None] < len(head_area) // 2)
        assert free.mean() > 0.1
        beside = free & (cv2.dilate(head_area, np.ones((31, 31))) > 0.5)
        assert beside.mean() > 0.02
        assert np.abs(frame.astype(int) - image)[beside].mean() < 3


FIRST_CALLS = """
import sys, numpy as np
from concurrent.futures import ThreadPoolExecutor
from fewshot_heads.imaging import segmentation
with ThreadPoolExecutor(4) as pool:
    list(pool.map(segmentation.person_matte, [np.zeros((64, 64, 3), np.uint8)] * 4))
print(segmentation._segmenter.cache_info().misses, end="")
print("heard", file=sys.stderr, end="")
"""


def test_threads_that_come_first_share_one_network_and_nothing_is_logged():
    done = subprocess.run([sys.executable, "-c", FIRST_CALLS], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1", "heard")
