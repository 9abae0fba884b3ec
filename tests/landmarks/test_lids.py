"""Lids that close, in the head's frame."""

import numpy as np
import pytest

from fewshot_heads.landmarks import LEFT_EYE, LEFT_IRIS, RIGHT_EYE
from fewshot_heads.landmarks.lids import LOWER_LIDS, UPPER_LIDS, close_lids
from fewshot_heads.landmarks.pose import MEAN_HEAD

FACES = np.repeat(MEAN_HEAD[None].astype(float), 3, 0)
CLOSED = np.array([0.0, 0.5, 1.0])


@pytest.mark.parametrize("upper_share", [0.85, 1.0])
def test_lids_meet_when_closed_and_stay_when_open(upper_share):
    result = close_lids(FACES, CLOSED, upper_share)
    before, after = (faces[:, LOWER_LIDS, 1] - faces[:, UPPER_LIDS, 1] for faces in (FACES, result))
    np.testing.assert_allclose(after, before * (1 - CLOSED)[:, None, None], atol=1e-12)
    np.testing.assert_array_equal(result[0], FACES[0])
    others = np.setdiff1d(np.arange(68), np.r_[np.ravel(UPPER_LIDS), np.ravel(LOWER_LIDS)])
    np.testing.assert_array_equal(result[:, others], FACES[:, others])


def test_the_upper_lid_travels_its_share_of_the_gap():
    travel = close_lids(FACES, CLOSED)[2, UPPER_LIDS, 1] - FACES[2, UPPER_LIDS, 1]
    np.testing.assert_allclose(travel, 0.85 * (FACES[2, LOWER_LIDS, 1] - FACES[2, UPPER_LIDS, 1]))


def test_irises_move_to_the_closed_lids_only_when_asked_to():
    result = close_lids(FACES, CLOSED, move_irises=True)
    np.testing.assert_allclose(result[2, LEFT_IRIS], result[2, UPPER_LIDS[1]].mean(0))
    np.testing.assert_array_equal(close_lids(FACES, CLOSED)[:, LEFT_IRIS], FACES[:, LEFT_IRIS])


def test_lids_are_points_of_their_eyes():
    for eye, upper, lower in zip((RIGHT_EYE, LEFT_EYE), UPPER_LIDS, LOWER_LIDS, strict=True):
        assert {*upper, *lower} == set(range(eye.start, eye.stop)) - {eye.start, eye.start + 3}
