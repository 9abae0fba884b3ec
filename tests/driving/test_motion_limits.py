"""Eyelids of a driver who turns."""

import numpy as np
import pytest

from fewshot_heads.driving.motion_limits import couple_lids
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS, unsigned_eye_aspect_ratio
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.lids import close_lids
from fewshot_heads.landmarks.pose import fit_pose
from tests.faces import face

SHAPE = CanonicalFace.of(face(surface=0)).shape
TURNED = fit_pose(face((0, 0.6, 0), surface=0)).rotation


def openings(shape):
    return np.array([unsigned_eye_aspect_ratio(shape[eye, :2]) for eye, _ in EYES_AND_BROWS])


USUAL = openings(SHAPE)


def closed_by(right, left):
    return close_lids(SHAPE[None], np.array([[right, left]]))[0]


def test_a_small_difference_of_a_turned_driver_is_evened_out():
    result = openings(couple_lids(closed_by(0.4, 0.2), USUAL, TURNED)) / USUAL
    assert abs(result[0] - result[1]) < 0.02
    assert 0.6 < result.mean() < 0.8


def test_a_wink_stays_one():
    shape = closed_by(0.8, 0.0)
    np.testing.assert_allclose(couple_lids(shape, USUAL, TURNED), shape, atol=1e-9)


@pytest.mark.parametrize("rotation", [np.eye(3), fit_pose(face((0.3, 0, 0), surface=0)).rotation])
def test_a_driver_who_faces_the_camera_is_believed(rotation):
    shape = closed_by(0.4, 0.2)
    np.testing.assert_array_equal(couple_lids(shape, USUAL, rotation), shape)


def test_a_blink_stays_shut():
    result = openings(couple_lids(closed_by(0.99, 0.9), USUAL, TURNED)) / USUAL
    assert result.max() < 0.15
