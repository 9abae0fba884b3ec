"""Where in its picture a head is cut out."""

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.layers.parsing import Mattes
from fewshot_heads.rendering import source_crop
from fewshot_heads.rendering.source_crop import crop_with_hair, texture_size


@pytest.fixture(scope="module")
def face(reenactor, mona):
    return reenactor.detectors[0].detect(mona)[0]


def heads(monkeypatch, make):
    """Replaces the parsing network."""

    def parse(image, *_):
        matte = make(image)
        return Mattes(matte, matte)

    monkeypatch.setattr(source_crop, "parse", parse)


def test_a_crop_grows_for_a_hat_as_far_as_the_picture_goes(face, mona, monkeypatch):
    crop = Crop.around([face], 256)
    hat = np.zeros(mona.shape[:2], np.float32)
    (x, y), reach = face.points[27].astype(int), int(0.62 * crop.side)
    cv2.rectangle(hat, (x - reach, max(y - 90, 0)), (x + reach, y), 1.0, -1)

    def in_crop(image):
        return wide.cut(np.repeat((255 * hat[..., None]).astype(np.uint8), 3, 2))[..., 0] / np.float32(255)

    wide = crop.grown(1.5)
    heads(monkeypatch, in_crop)
    grown = crop_with_hair(mona, face, crop)
    assert crop.side < grown.side <= 1.5 * crop.side
    assert grown.left >= min(crop.left, 0) and grown.left + grown.side <= max(crop.left + crop.side, mona.shape[1])
    assert grown.left <= max(x - reach, 0) and grown.left + grown.side >= min(x + reach, mona.shape[1])


def test_the_top_of_a_head_is_kept_where_the_square_cannot_hold_its_long_hair(face, mona, monkeypatch):
    narrow = mona[:, 40:-40]
    own = face.moved(np.array([40.0, 0.0]))
    crop, hair = Crop.around([own], 256), np.zeros(narrow.shape[:2], np.float32)
    hair[5:, 60:-60] = 1  # from the upper edge down to the lower one, higher than the picture is wide
    wide = crop.grown(1.5)
    heads(monkeypatch, lambda _: wide.cut(np.repeat((255 * hair[..., None]).astype(np.uint8), 3, 2))[..., 0] / 255)
    assert crop_with_hair(narrow, own, crop).top == 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_matte_of_nothing_or_everything_gives_a_crop(face, mona, monkeypatch, value):
    heads(monkeypatch, lambda image: np.full(image.shape[:2], value, np.float32))
    crop = Crop.around([face], 256)
    chosen = crop_with_hair(mona, face, crop)
    assert crop.side <= chosen.side <= 1.5 * crop.side
    if value == 0:
        assert chosen == crop


def test_a_crop_holds_the_head_and_the_usual_crop(face, mona):
    crop = Crop.around([face], 256)
    chosen = crop_with_hair(mona, face, crop)
    assert chosen.side >= crop.side
    box = chosen.to_crop(face).box
    assert box.min() >= 0 and box.max() <= chosen.size


@pytest.mark.parametrize(("side", "size"), [(100, 256), (300, 320), (5000, 1024)])
def test_textures_keep_the_resolution_of_the_source_within_limits(side, size):
    assert texture_size([Crop(0, 0, side, 256)]) == size


def test_a_head_has_room_to_rise(face, mona, monkeypatch):
    crop = Crop.around([face], 256)
    hair, top = np.zeros(mona.shape[:2], np.float32), int(crop.top + 0.02 * crop.side)
    left, right = face.points[:, 0].min().astype(int), face.points[:, 0].max().astype(int)
    hair[top : int(face.points[:, 1].max()), left:right] = 1
    wide = crop.grown(1.5)
    heads(monkeypatch, lambda _: wide.cut(np.repeat((255 * hair[..., None]).astype(np.uint8), 3, 2))[..., 0] / 255)
    assert top - crop_with_hair(mona, face, crop).top == pytest.approx(0.1 * crop.side, abs=2)
