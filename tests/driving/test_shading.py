"""Shading: folds of the driver's skin, and nothing that the skin always has."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fewshot_heads.driving.shading import RestingSkin, scaled, shading_of, skin_detail
from fewshot_heads.landmarks.face_map import CELLS, cell_positions
from fewshot_heads.landmarks.pose import rotate_3d

FOLD = np.array([[32, 62], [26, 72]])  # x and y of a fold's ends, cells: from the nose down the cheek


@pytest.fixture(scope="module")
def at_rest(reenactor, mona):
    return mona, reenactor.detectors[0].detect(mona)[0]


def folded(image, face, darkness=60):
    """Returns the image with a dark fold in the cheek."""
    ends = [tuple(cell_positions(face)[y, x, :2].round().astype(int).tolist()) for x, y in FOLD]
    drawn = cv2.line(np.zeros_like(image), *ends, (1, 1, 1), max(2, round(face.size / 40)))
    return np.where(drawn > 0, image - np.minimum(image, darkness), image)


def test_a_fold_is_dark_where_it_is(at_rest):
    image, face = at_rest
    rest = RestingSkin([skin_detail(image, face)], face)
    shading = rest.shading(skin_detail(folded(image, face), face), face)
    assert shading.shape == (CELLS, CELLS) and shading[67, 29] < -0.05
    assert np.abs(shading[:, CELLS // 2 + 8 :]).max() < 0.02  # not in the other cheek


def test_what_the_skin_always_has__and_light_on_the_whole_face_is_none(at_rest):
    image, face = at_rest
    scarred = folded(image, face)
    rest = RestingSkin([skin_detail(scarred, face)], face)
    brighter = (scarred * 1.2).clip(0, 255).astype(np.uint8)
    assert np.abs(rest.shading(skin_detail(scarred, face), face)).max() == 0
    assert np.abs(rest.shading(skin_detail(brighter, face), face)).max() < 0.03


def test_a_driver_who_smiles_at_rest_leaves_no_light_patches(at_rest):
    image, face = at_rest
    rest = RestingSkin([skin_detail(folded(image, face), face)], face)
    assert rest.shading(skin_detail(image, face), face).max() == 0


def test_a_head_that_turns_far_shows_no_folds(at_rest):
    image, face = at_rest
    rest, detail = RestingSkin([skin_detail(image, face)], face), skin_detail(folded(image, face), face)
    turned = [rotate_3d(face, np.array([0, np.radians(angle), 0])) for angle in (0, 18, 30)]
    amounts = [float(np.abs(rest.shading(detail, face)).sum()) for face in turned]
    assert amounts[0] > amounts[1] > amounts[2] == 0


def test_each_shot_has_a_rest_of_its_own(at_rest):
    image, face = at_rest
    details = [skin_detail(frame, face) for frame in (image, folded(image, face))]
    shots = shading_of([details[0]] * 5 + [details[1]] * 5, [face] * 10, [(0, 5), (5, 10)])
    assert len(shots) == 10 and all(np.abs(shading).max() == 0 for shading in shots)


def test_a_face_without_a_surface_has_none(at_rest):
    image, face = at_rest
    assert skin_detail(image, replace(face, surface=None)) is None


def test_a_face_at_the_edge_of_a_picture(at_rest):
    image, face = at_rest
    for shift in ([-2 * face.size, 0], [0, 2 * face.size], [-1e4, -1e4]):
        detail = skin_detail(image, face.moved(np.array(shift, np.float32), 1))
        assert detail.shape == (CELLS, CELLS)


def test_gains():
    shading = [np.ones((2, 2), np.float32)]
    assert scaled(shading, 0.5)[0].max() == 0.5
    assert scaled(shading, 0) is None and scaled(None, 1) is None
