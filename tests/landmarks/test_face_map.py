"""The map of a face's skin: its cells lie at the same place of every face."""

from __future__ import annotations

import numpy as np
import pytest

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.face_map import CELL_HEAD_UNITS, CELLS, cell_positions, facing, skin_mask
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, rotate_3d

MEAN_FACE = np.vstack([MEAN_HEAD, MEAN_SURFACE])


@pytest.fixture
def face() -> Landmarks:
    """The mean face, 100 pixels a head unit."""
    return Landmarks.from_array((100 * MEAN_FACE + [128, 128, 0]).astype(np.float32))


def test_cells_of_the_mean_face_are_a_regular_grid(face):
    skin = skin_mask() > 0
    steps = np.diff(cell_positions(face), axis=1)[..., :2]
    assert np.allclose(steps[skin[:, 1:] & skin[:, :-1]], [100 * CELL_HEAD_UNITS, 0], atol=1e-3)


def test_cells_follow_a_landmark(face):
    array = face.to_array()
    nose = 30
    array[nose, 0] += 10
    moved = cell_positions(Landmarks.from_array(array)) - cell_positions(face)
    nearest = np.linalg.norm(cell_positions(face)[..., :2] - face.points[nose], axis=-1).argmin()
    assert moved.reshape(-1, 3)[nearest, 0] == pytest.approx(10, abs=3)
    assert np.abs(moved[CELLS - 8 :]).max() < 1e-6  # not the chin


def test_a_cheek_turns_away_with_the_head(face):
    right, left = (slice(40, 70), slice(20, 30)), (slice(40, 70), slice(66, 76))
    frontal = facing(cell_positions(face))
    assert min(frontal[right].mean(), frontal[left].mean()) > 0.4
    turned = facing(cell_positions(rotate_3d(face, np.array([0, np.radians(60), 0]))))
    sides = sorted([turned[right].mean(), turned[left].mean()])
    assert sides[0] < 0 < 0.5 < sides[1]


def test_eyes_lips_and_the_surroundings_of_a_face_are_no_skin(face):
    skin, positions = skin_mask(), cell_positions(face)[..., :2]
    for landmark in (37, 44, 19, 24, 62, 66, 0, 8):
        assert skin.reshape(-1)[np.linalg.norm(positions - face.points[landmark], axis=-1).argmin()] < 1e-3
    cheek = np.mean([face.points[31], face.points[3]], axis=0)
    assert skin.reshape(-1)[np.linalg.norm(positions - cheek, axis=-1).argmin()] > 0.9
