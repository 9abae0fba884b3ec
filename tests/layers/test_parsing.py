"""Which of a picture is person, and which of the person is head."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks import JAW
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.layers import parsing
from fewshot_heads.layers.parsing import parse, person_matte
from fewshot_heads.models.network import Network
from fewshot_heads.rendering.renderer import HeadRenderer


def test_a_face_is_head_and_the_corners_above_are_nothing(reenactor, mona):
    mattes = parse(mona)
    for matte in mattes:
        assert matte.dtype == np.float32 and matte.shape == mona.shape[:2] and 0 <= matte.min() < matte.max() <= 1
        assert matte[:40, :40].max() < 0.1 and matte[:40, -40:].max() < 0.1
    assert (mattes.head <= mattes.person).all()
    points = control_points(reenactor.detectors[0].detect(mona)[0])[:68]
    inside = np.zeros(mona.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points.astype(np.int32)), 1)
    assert mattes.head[inside > 0].mean() > 0.97


def test_the_chest_is_body(reenactor, mona):
    mattes = parse(mona)
    face = reenactor.detectors[0].detect(mona)[0]
    x, y = face.points[JAW][8].astype(int)
    chest = (slice(round(y + 0.4 * face.size), round(y + 0.6 * face.size)), slice(x - 15, x + 15))
    assert mattes.person[chest].mean() > 0.9 and mattes.head[chest].mean() < 0.1


def bright(image):
    """What a network gives that takes what is bright for a person, and the upper half of the picture for a head."""
    person = image.mean(1, keepdims=True) * 20
    share = np.broadcast_to(np.linspace(20, -20, 256)[None, None, :, None], person.shape)
    return (np.concatenate([person, share], 1),)


@pytest.mark.parametrize("shape", [(300, 300), (90, 400), (700, 200), (40, 40)])
def test_no_framing_shifts_the_mattes(shape, monkeypatch):
    monkeypatch.setattr(parsing, "_network", lambda: Network(256, bright))
    height, width = shape
    truth = np.zeros(shape, np.float32)
    truth[height // 4 : height // 4 * 3, width // 5 : width // 5 * 3] = 1
    image = np.repeat((truth * 200 + 20).astype(np.uint8)[..., None], 3, 2)
    mattes = parse(image)
    assert np.abs(mattes.person - truth).mean() < 0.01
    head = truth * (np.arange(height) < height / 2)[:, None]
    assert np.abs(mattes.head - head).mean() < 0.03


@pytest.mark.parametrize("shape", [(1, 1), (33, 700), (512, 512)])
@pytest.mark.parametrize("gray", [0, 128, 255])
def test_a_picture_of_nothing_has_numbers_too(shape, gray):
    for matte in parse(np.full((*shape, 3), gray, np.uint8)):
        assert matte.shape == shape and np.isfinite(matte).all() and 0 <= matte.min() <= matte.max() <= 1


def test_the_background_stays_where_a_head_goes(reenactor, mona):
    """Beside the head, before and after, every pixel is the image's: none has gone along with the hair."""
    head = reenactor.embed([mona])
    renderer = HeadRenderer(head, reenactor.generator, reenactor.size)
    image, source_face = head.crop.cut(mona), head.landmarks[0]
    moved = [source_face.moved(np.float32([offset * reenactor.size, 0])) for offset in (-0.08, 0.08)]
    shift = round(0.08 * reenactor.size)
    matte = cv2.dilate(person_matte(image), np.ones((9, 9)))
    for frame, offset in zip(renderer.render(moved), (shift, -shift), strict=True):
        head_area = np.maximum(matte, np.roll(matte, offset, axis=1))
        free = (head_area < 0.02) & (np.arange(len(head_area))[:, None] < len(head_area) // 2)
        assert free.mean() > 0.1
        beside = free & (cv2.dilate(head_area, np.ones((31, 31))) > 0.5)
        assert beside.mean() > 0.02
        assert np.abs(frame.astype(int) - image)[beside].mean() < 3


FIRST_CALLS = """
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from fewshot_heads.layers import parsing
with ThreadPoolExecutor(4) as pool:
    list(pool.map(parsing.parse, [np.zeros((64, 64, 3), np.uint8)] * 4))
print(parsing._network.cache_info().misses, end="")
"""


def test_threads_that_come_first_share_one_network_and_nothing_is_logged():
    done = subprocess.run([sys.executable, "-c", FIRST_CALLS], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1", "")


AFTER_FORK = """
import os, numpy as np
from fewshot_heads.layers import parsing
from fewshot_heads.layers.parsing import parse
picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
before = parse(picture).person
if os.fork() == 0:
    os._exit(0 if np.allclose(parse(picture).person, before, atol=1e-4) else 1)
print(os.waitstatus_to_exitcode(os.wait()[1]), end="")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_parses_too():
    done = subprocess.run([sys.executable, "-c", AFTER_FORK], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "0"
