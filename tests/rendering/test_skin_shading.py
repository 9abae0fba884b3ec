"""Folds of the driver on the source's skin."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks.face_map import CELLS, cell_positions
from fewshot_heads.rendering.skin_shading import SkinShading

FOLD = np.zeros((CELLS, CELLS), np.float32)
FOLD[60:74, 24:34] = -0.3


@pytest.fixture(scope="module")
def head(reenactor, mona):
    return reenactor.embed([mona], crop="full")


@pytest.fixture(scope="module")
def face(reenactor, head):
    return head.landmarks[0].moved(np.zeros(2, np.float32), head.textures.shape[1] / reenactor.size)


def test_skin_is_darker_in_a_fold_only(head, face):
    image = head.textures[0]
    shaded = SkinShading(image, face).shade(image, FOLD, face, len(image)).astype(int)
    x, y = cell_positions(face)[67, 29, :2].astype(int)
    assert shaded[y, x].sum() < 0.9 * image[y, x].sum()
    assert (shaded == image).all(-1).mean() > 0.9


def test_a_beard_takes_no_fold(head, face):
    bearded = head.textures[0].copy()
    left, top = cell_positions(face)[56, 20, :2].astype(int)
    right, bottom = cell_positions(face)[78, 38, :2].astype(int)
    bearded[top:bottom, left:right] = 20
    assert (SkinShading(bearded, face).shade(bearded, FOLD, face, len(bearded)) == bearded).mean() > 0.99


def test_a_mask_that_covers_most_of_the_face_takes_no_fold(head, face):
    masked = head.textures[0].copy()
    cv2.fillPoly(masked, [face.points[[1, 27, 15, 11, 8, 5]].round().astype(np.int32)], (168, 200, 222))
    assert (SkinShading(masked, face).shade(masked, FOLD, face, len(masked)) == masked).all()


def test_a_face_without_a_surface_stays_as_it_is(head, face):
    flat, image = replace(face, surface=None), head.textures[0]
    assert SkinShading(image, flat).shade(image, FOLD, face, len(image)) is image
    assert SkinShading(image, face).shade(image, FOLD, flat, len(image)) is image


def test_the_dial(reenactor, head, driver_frames):
    motion = reenactor.track(driver_frames[:3])
    motion = replace(motion, shading=[np.zeros_like(FOLD), FOLD, FOLD])

    def animate(**dials):
        return np.stack(list(reenactor.animate(head, motion, paste_back=False, **dials))).astype(int)

    off, half, full = (animate(shading=strength) for strength in (0, 0.5, 1))
    assert (off[0] == full[0]).all()
    assert 0 < np.abs(off[1] - half[1]).sum() < np.abs(off[1] - full[1]).sum()
    still, absolute = animate(expression=0), animate(motion="absolute")
    assert (still == animate(expression=0, shading=0)).all()
    assert (absolute == animate(motion="absolute", shading=0)).all()
