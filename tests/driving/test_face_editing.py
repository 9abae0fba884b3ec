"""Controls of a face: what they move in the landmarks, their ranges and their names."""

import numpy as np
import pytest

from fewshot_heads.cli.conf_files import describe
from fewshot_heads.driving.controls import CONTROLS
from fewshot_heads.driving.face_editing import edit_face, load_directions
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import LEFT_EYE, LEFT_IRIS, MIRROR, RIGHT_EYE
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import MEAN_HEAD, NECK, SURFACE_MIRROR, fit_pose
from tests.faces import face


def shape(**values):
    return CanonicalFace.of(edit_face(face(surface=0.0), values)).shape


def test_without_a_value_the_face_is_the_source():
    source = face(surface=0.0)
    assert edit_face(source, {}) is source and edit_face(source, {"smile": 0.0, "yaw": 0}) is source


@pytest.mark.parametrize("name", CONTROLS)
def test_an_edit_grows_with_its_value(name):
    still, control = shape(), CONTROLS[name]
    for end in filter(None, (control.low, control.high)):
        source = face(surface=0.0)
        half, full = (edit_face(source, {name: strength * end}).points - source.points for strength in (0.5, 1))
        assert 0.3 < np.abs(half).max() / np.abs(full).max() < 0.7
    assert still.shape == (221, 3)


def test_controls_of_expression_leave_the_pose():
    values = {name: control.high for name, control in CONTROLS.items() if not control.unit}
    before, after = (fit_pose(edit_face(face(surface=0.0), edit)) for edit in ({}, values))
    assert np.allclose(before.rotation, after.rotation, atol=1e-3) and np.isclose(before.scale, after.scale, rtol=1e-3)


def test_the_head_turns_on_its_neck():
    source = face()
    before, after = fit_pose(source), fit_pose(edit_face(source, {"yaw": 20}))
    assert np.allclose(before.apply(NECK), after.apply(NECK), atol=0.01)
    nose = edit_face(source, {"yaw": 20}).points[30] - edit_face(source, {"yaw": 20}).points[27]
    assert nose[0] > 5  # to the viewer's right
    assert edit_face(source, {"pitch": 15}).points[30, 1] < source.points[30, 1]
    assert edit_face(source, {"roll": 15}).points[30, 0] > source.points[30, 0]  # clockwise about the neck


def test_lids_close_one_by_one():
    def gaps(**values):
        points = shape(**values)
        return [CanonicalFace(None, points).eye_opening(eye) for eye in (RIGHT_EYE, LEFT_EYE)]

    right, left = gaps()
    assert max(gaps(blink=1)) < 0.05
    assert gaps(wink_left=1)[1] < 0.05 and np.isclose(gaps(wink_left=1)[0], right, atol=0.002)
    assert gaps(wink_right=1)[0] < 0.05 and np.isclose(gaps(wink_right=1)[1], left, atol=0.002)
    assert min(gaps(eyes=1)) > right > max(gaps(eyes=-1)) > 0.05


def test_directions_point_where_their_names_say():
    still = shape()
    assert (shape(smile=1) - still)[[48, 54], 1].max() < -0.01  # the corners of the mouth rise
    assert CanonicalFace(None, shape(mouth=1)).mouth_opening() > 0.2 + CanonicalFace(None, still).mouth_opening()
    assert CanonicalFace(None, shape(pucker=1)).mouth_width() < CanonicalFace(None, still).mouth_width()
    assert (shape(brows=1) - still)[17:27, 1].max() < -0.01 < (shape(brows=-1) - still)[17:27, 1].max()
    assert (shape(gaze_x=1) - still)[LEFT_IRIS, 0] > 0.02 > 0 > (shape(gaze_y=1) - still)[LEFT_IRIS, 1]


def test_directions_are_symmetric():
    order = np.concatenate([MIRROR, len(MEAN_HEAD) + SURFACE_MIRROR])
    for name, (positive, negative) in load_directions().items():
        for direction in (positive, negative):
            mirrored = direction[order] * [-1, 1, 1]
            sign = -1 if name == "gaze_x" else 1
            assert np.allclose(direction, sign * mirrored, atol=2e-4), name


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"smiel": 1}, "did you mean 'smile'"),
        ({"smile": 1.1}, "from 0 to 1"),
        ({"blink": -0.1}, "from 0 to 1"),
        ({"yaw": float("nan")}, "from -30 to 30"),
        ({"yaw": "left"}, "expected a number"),
        ({"yaw": True}, "expected a number"),
    ],
)
def test_a_wrong_control_or_value_is_one_line(values, told):
    with pytest.raises(BadInput, match=told):
        edit_face(face(), values)


def test_the_help_of_the_command_gives_the_ranges():
    lines = {key: text for key, _, text in describe("edit")}
    for name, control in CONTROLS.items():
        assert control.help.split(";")[0] in lines[name] and f"{control.low:g} to {control.high:g}" in lines[name]
