"""A mask or a hand before the mouth stays whole."""

import cv2
import numpy as np
import pytest

from fewshot_heads.creative.blending.driving_settings import DrivingSettings
from fewshot_heads.driving.covered_mouth import lips_are_covered
from fewshot_heads.landmarks.aspect_ratio import lip_gap
from fewshot_heads.landmarks.canonical_face import CanonicalFace
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


def with_microphone(image, face, color):
    """The picture with a ball just larger than the lips."""
    center, radius = face.points[48:68].mean(0).round().astype(int), round(0.18 * face.size)
    return cv2.circle(image.copy(), tuple(center.tolist()), radius, color, -1)


@pytest.fixture(scope="module")
def mona_face(reenactor, mona):
    return reenactor.detectors[0].detect(mona)[0]


@pytest.mark.parametrize("color", CLOTH.values(), ids=CLOTH)
def test_cloth_covers_a_mouth(mona, mona_face, color, caplog):
    assert lips_are_covered(masked(mona, mona_face, color), mona_face, "mona.jpg")
    assert caplog.text.count("covers the mouth of mona.jpg") == 1


@pytest.mark.parametrize(
    "color", [(28, 28, 30), (190, 190, 195), (40, 60, 150), (150, 30, 35)], ids=["black", "silver", "blue", "red"]
)
def test_a_microphone_that_ends_at_the_lips_covers_a_mouth(mona, mona_face, color):
    assert lips_are_covered(with_microphone(mona, mona_face, color), mona_face, "mona.jpg")


@pytest.mark.parametrize("spoil", [lambda image: cv2.GaussianBlur(image, (0, 0), 3), lambda image: image // 4])
def test_a_blurred_or_dark_mouth_is_not_covered(mona, mona_face, spoil):
    assert not lips_are_covered(spoil(mona), mona_face, "mona.jpg")


@pytest.mark.parametrize("color", [(30, 25, 22), (80, 55, 40), (215, 212, 208)], ids=["black", "brown", "white"])
def test_a_beard_covers_no_mouth(mona, mona_face, color):
    chin = np.zeros(mona.shape[:2], np.uint8)
    cv2.fillPoly(chin, [mona_face.points[[*range(3, 14), 35, 33, 31]].round().astype(np.int32)], 1)
    cv2.fillPoly(chin, [mona_face.points[48:60].round().astype(np.int32)], 0)
    hair = color + np.random.default_rng(0).normal(0, 6, mona.shape)
    bearded = np.where(chin[..., None] > 0, hair.clip(0, 255), mona).astype(np.uint8)
    assert not lips_are_covered(bearded, mona_face, "mona.jpg")


def test_a_covered_mouth_stays_in_a_morph_and_opens_without_cover(reenactor, mona, mona_face):
    picture = with_microphone(mona, mona_face, (28, 28, 30))
    driver = reenactor.editor(reenactor.embed(mona)).motion({"mouth": 1.0})
    opened = {}
    for name, source in (("covered", picture), ("visible", mona)):
        head = reenactor.embed(source)
        faces = DrivingSettings().follow(head, driver, reenactor.size)
        opened[name] = [lip_gap(CanonicalFace.of(face).shape) for face in (faces[0], faces[1])]
    assert opened["covered"][1] == pytest.approx(opened["covered"][0], abs=0.01)
    assert opened["visible"][1] > opened["visible"][0] + 0.1


@pytest.mark.parametrize("light", [1.0, 0.25])
def test_no_mouth_of_the_examples_is_covered(reenactor, light, mona, driver_frames, caplog):
    pictures = [read_image(path) for path in sorted(EXAMPLES.glob("*.jpg"))] + driver_frames[::4]
    gray = np.repeat(mona[..., 1:2], 3, -1)
    for picture in (*pictures, gray):
        dim = (picture * light).astype(np.uint8)
        for face in reenactor.detectors[0].detect(picture):
            assert not lips_are_covered(dim, face, "a picture")
    assert not caplog.text


def test_a_covered_mouth_keeps_its_shape_and_the_cloth_its_color(reenactor, mona, mona_face, driver_frames):
    picture = masked(mona, mona_face, CLOTH["surgical"])
    head = reenactor.embed(picture)
    frames = list(reenactor.animate(head, reenactor.track(driver_frames), paste_back=False))
    x, y = head.landmarks[0].points[48:68].mean(0).astype(int) * len(frames[0]) // reenactor.size
    for frame in frames:  # with a mouth in the cloth, black and red down to 30
        patch = frame[y - 6 : y + 6, x - 12 : x + 12].astype(int)
        assert patch.min() > 120 and (patch[..., 2] > patch[..., 0]).all()
