"""Expressions of a driver on the moving heads of a video."""

import numpy as np
import pytest

from fewshot_heads.driving.expression_transfer import ExpressionTransfer
from fewshot_heads.driving.face_editing import edit_face
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import fit_pose, turn_between
from tests.faces import face

ANGLES = (-15.0, -5.0, 5.0, 15.0, 20.0)


@pytest.fixture(scope="module")
def video():
    """A head that turns, speaks in the second frame and blinks in the fourth."""
    values = [{}, {"mouth": 0.8}, {}, {"blink": 1.0}, {}]
    return [edit_face(face(surface=0.0), {"yaw": yaw, **value}) for yaw, value in zip(ANGLES, values, strict=True)]


def mouth(landmarks):
    return CanonicalFace.of(landmarks).mouth_opening()


def test_the_pose_is_that_of_the_video_and_the_mouth_that_of_the_driver(video):
    driver = [edit_face(face(surface=0.0), {"mouth": value, "roll": 10.0}) for value in (0.0, 0.0, 1.0, 0.5, 0.0)]
    transfer = ExpressionTransfer(video, [(0, 5)], driver)
    results = [transfer.face(i) for i in range(5)]
    for own, result, frame in zip(video, results, driver, strict=True):
        assert np.degrees(turn_between(fit_pose(own), fit_pose(result))) < 1.5
        assert mouth(result) == pytest.approx(mouth(frame), abs=0.1)
    assert mouth(video[1]) > mouth(results[1]) + 0.1  # the video's own words are gone


def test_a_still_mouth_keeps_the_lips_of_each_frame(video):
    driver = [edit_face(face(surface=0.0), {"mouth": 1.0})] * 5
    transfer = ExpressionTransfer(video, [(0, 5)], driver, reference=0)
    for i, own in enumerate(video):
        result = transfer.face(i, still_mouth=True)
        assert np.abs(result.points[48:68] - own.points[48:68]).max() < 0.01 * own.size


def test_a_strength_of_0_leaves_the_usual_face_of_each_shot(video):
    driver = [edit_face(face(surface=0.0), {"smile": 1.0})] * 4
    shots = [(0, 3), (3, 4)]  # the second shot is the blink alone
    transfer = ExpressionTransfer(video[:4], shots, driver, expression=0.0, reference=0)
    speaking, blinking = transfer.face(1), transfer.face(3)
    assert mouth(speaking) == pytest.approx(mouth(video[0]), abs=0.02)
    assert np.abs(blinking.points - video[3].points).max() < 0.02 * blinking.size


def test_a_wrong_option_is_told(video):
    with pytest.raises(BadInput, match="reference=5, but the driver has frames 0 to 4"):
        ExpressionTransfer(video, [(0, 5)], video, reference=5)
    with pytest.raises(BadInput, match="expression"):
        ExpressionTransfer(video, [(0, 5)], video, expression=float("nan"))
