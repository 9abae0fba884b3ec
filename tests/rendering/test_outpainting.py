"""A portrait is continued beyond the edges of its picture without a mirror image of the face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fewshot_heads import Reenactor, read_image
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.layers.parsing import Mattes
from fewshot_heads.rendering import outpainting
from fewshot_heads.rendering.outpainting import outpaint
from tests.conftest import EXAMPLES

_SIZE = 256


@pytest.fixture(scope="module")
def mona() -> tuple[np.ndarray, Landmarks]:
    """The example picture and its face."""
    picture = read_image(EXAMPLES / "mona_lisa.jpg")
    reenactor = Reenactor.from_pretrained()
    return picture, reenactor.detectors[0].detect(picture)[0]


def _outpainted(picture: np.ndarray, face: Landmarks) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
    crop = Crop.around([face], _SIZE)
    inside, image = crop.inside(picture), crop.cut(picture)
    return image, outpaint(image, inside, crop.to_crop(face)), inside


def _cut_above_the_brows(picture: np.ndarray, face: Landmarks) -> tuple[np.ndarray, Landmarks]:
    top = int(face.points[17:27, 1].min() - 0.15 * face.size)
    return picture[top:], face.moved(np.array([0, top], np.float32))


def test_a_crop_inside_its_picture_is_not_changed(mona):
    picture, face = mona
    wide = cv2.copyMakeBorder(picture, *[200] * 4, cv2.BORDER_REFLECT)
    image, result, _ = _outpainted(wide, face.moved(np.array([-200, -200], np.float32)))
    assert result is image


def test_pixels_of_the_picture_stay(mona):
    image, result, inside = _outpainted(*_cut_above_the_brows(*mona))
    assert np.array_equal(result[inside], image[inside])


def test_no_mirror_image_of_a_face_stands_on_a_head_that_the_edge_cuts_off(mona):
    image, result, (rows, _) = _outpainted(*_cut_above_the_brows(*mona))
    mirrored = image[: rows.start].astype(float)
    assert rows.start > 30
    assert np.abs(mirrored - result[: rows.start]).mean() > 15


def test_what_is_above_the_crown_is_background(mona):
    picture, face = _cut_above_the_brows(*mona)
    _, result, (rows, _) = _outpainted(picture, face)
    head = Reenactor.from_pretrained().embed(picture).heads[0]
    scale = len(head) / _SIZE
    assert head[: int(4 * scale), ..., 3].max() < 25
    assert head[int((rows.start - 4) * scale), len(head) // 2, 3] > 200
    assert result.dtype == np.uint8


@pytest.mark.parametrize("side", [0, 1])
def test_a_face_that_is_half_outside_gives_a_head(mona, side):
    picture, face = mona
    middle = int(face.points[:, 0].mean())
    half = picture[:, middle:] if side else picture[:, :middle]
    image, result, _ = _outpainted(half, face.moved(np.array([middle * side, 0], np.float32)))
    assert result.shape == image.shape


def test_a_picture_without_hair_or_wall_goes_on_as_it_ends(mona, monkeypatch):
    picture, face = _cut_above_the_brows(*mona)
    monkeypatch.setattr(outpainting, "parse", lambda image: Mattes(*np.ones((2, *image.shape[:2]), np.float32)))
    monkeypatch.setattr(outpainting, "find_skin", lambda image, *_: np.ones((2, *image.shape[:2]), bool))
    _, result, (rows, columns) = _outpainted(picture, face)
    np.testing.assert_array_equal(result[rows.start - 2, columns], result[rows.start, columns])
