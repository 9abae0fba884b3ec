"""A mask or a hand before the mouth stays whole."""

import cv2
import numpy as np
import pytest

from fewshot_heads.driving.covered_mouth import mouth_is_covered
from fewshot_heads.media.images import read_image
from tests.conftest import EXAMPLES

CLOTH = {"surgical": (168, 200, 222), "white": (235, 235, 235), "black": (35, 35, 38), "pink": (225, 170, 170)}


def masked(image, face, color):
    """The picture with a mask of shaded, noisy and pleated cloth."""
    cloth, area = np.full(image.shape, color, float), np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(area, [face.points[[2, 28, 14, 10, 8, 6]].round().astype(np.int32)], 1)
    for shift in (-0.15, 0.1):
        row = round(face.points[48:68, 1].mean() + shift * face.size)
        cloth[row : row + 2] *= 0.9
    cloth *= np.linspace(0.9, 1.05, image.shape[1])[None, :, None]
    cloth += np.random.default_rng(0).normal(0, 3, image.shape)
    return np.where(area[..., None] > 0, cloth.clip(0, 255), image).astype(np.uint8)


@pytest.fixture(scope="module")
def mona_face(reenactor, mona):
    return reenactor.detectors[0].detect(mona)[0]


@pytest.mark.parametrize("color", CLOTH.values(), ids=CLOTH)
def test_cloth_covers_a_mouth(mona, mona_face, color, caplog):
    assert mouth_is_covered(masked(mona, mona_face, color), mona_face)
    assert caplog.text.count("covers the mouth") == 1


@pytest.mark.parametrize("light", [1.0, 0.25])
def test_no_mouth_of_the_examples_is_covered(reenactor, light, mona, driver_frames, caplog):
    pictures = [read_image(path) for path in sorted(EXAMPLES.glob("*.jpg"))] + driver_frames[::4]
    gray = np.repeat(mona[..., 1:2], 3, -1)
    for picture in (*pictures, gray):
        dim = (picture * light).astype(np.uint8)
        for face in reenactor.detectors[0].detect(picture):
            assert not mouth_is_covered(dim, face)
    assert not caplog.text


def test_a_covered_mouth_keeps_its_shape_and_the_cloth_its_color(reenactor, mona, mona_face, driver_frames):
    picture = masked(mona, mona_face, CLOTH["surgical"])
    head = reenactor.embed(picture)
    frames = list(reenactor.animate(head, reenactor.track(driver_frames), paste_back=False))
    x, y = head.landmarks[0].points[48:68].mean(0).astype(int) * len(frames[0]) // reenactor.size
    for frame in frames:  # with a mouth in the cloth, black and red down to 30
        patch = frame[y - 6 : y + 6, x - 12 : x + 12].astype(int)
        assert patch.min() > 120 and (patch[..., 2] > patch[..., 0]).all()
