"""Values that would ruin a video or a whole `Reenactor` are refused in one line."""

import dataclasses
import math
import os

import numpy as np
import pytest

from fewshot_heads import BadInput
from fewshot_heads.models.checkpoint import pick_device


@pytest.fixture(scope="module")
def head(reenactor, mona_path):
    return reenactor.embed([mona_path])


@pytest.fixture(scope="module")
def motion(reenactor, driver_frames):
    return reenactor.track(driver_frames[:2])


@pytest.mark.parametrize("device", ["meta", "privateuseone", "hpu"])
def test_a_device_that_holds_no_values_is_none(device):
    with pytest.raises(BadInput, match=f"device={device} is not there"):
        pick_device(device)


@pytest.mark.parametrize(
    "option, line",
    [
        ({"pose": math.nan}, "pose=nan: expected a number from -100 to 100"),
        ({"pose": -1e9}, "pose=-1000000000.0: expected a number from -100 to 100"),
        ({"expression": math.inf}, "expression=inf: expected a number from -100 to 100"),
        ({"reference": 1.5}, "reference=1.5, but the driver has frames 0 to 1"),
        ({"batch": 2.5}, "batch=2.5: expected 1 or more, a whole number"),
        ({"resolution": 10**9}, "resolution=1000000000: expected 64 to 2048, a whole number"),
        ({"resolution": 100.5}, "resolution=100.5: expected 64 to 2048"),
        ({"batch": math.nan}, "batch=nan: expected 1 or more"),
        ({"motion": "copied"}, "motion='copied'"),
    ],
)
def test_an_option_that_would_ruin_the_video_is_refused(reenactor, head, motion, option, line):
    with pytest.raises(BadInput, match=line):
        reenactor.animate(head, motion, **option)


@pytest.mark.parametrize(
    "pictures, face, line",
    [
        (None, 0, "embed got NoneType and face=0; it needs pictures"),
        ([None], 0, "picture 0: got NoneType, expected an array"),
        (np.zeros((64, 64, 3), np.uint8), 1.5, "embed got list and face=1.5; it needs pictures, and whole numbers"),
        ([np.zeros((64, 64, 3), np.uint8)], [1.5], r"face=\[1.5\]"),
    ],
)
def test_what_is_no_picture_or_no_number_of_a_face_is_refused(reenactor, pictures, face, line):
    with pytest.raises(BadInput, match=line):
        reenactor.embed(pictures, face)


def test_an_empty_frame_leaves_the_reenactor_usable(reenactor, mona):
    for broken in ([np.zeros((0, 0, 3), np.uint8)], [mona, np.zeros((0, 0, 3), np.uint8)]):
        with pytest.raises(BadInput, match="0x0 pixels is too small"):
            reenactor.track(broken)
        with pytest.raises(BadInput, match="0x0 pixels is too small"):
            reenactor.embed(broken)
    with pytest.raises(BadInput, match="smooth=nan"):
        reenactor.track([mona], smooth=math.nan)
    with pytest.raises(BadInput, match="rate"):
        reenactor.track([mona], rate=0)
    assert len(reenactor.track([mona])) == 1


def test_too_many_pictures_are_refused_before_one_is_read(reenactor, mona):
    for many in (["no.jpg"] * 129, np.zeros((129, *mona.shape), np.uint8)):
        with pytest.raises(BadInput, match="129 pictures of a person: a head has 128 at most"):
            reenactor.embed(many)


def test_a_large_frame_as_source_is_scaled_down_as_a_file_is(reenactor, mona):
    height, width = mona.shape[:2]
    large = np.zeros((height, 4500, 3), np.uint8)
    large[:, :width] = mona
    head = reenactor.embed([large])
    assert head.picture.shape == (round(height * 4096 / 4500), 4096, 3)


def test_a_motion_without_frames_is_refused(reenactor, head, motion):
    empty = dataclasses.replace(motion, landmarks=[], lost=[], shots=[], mouths=None)
    with pytest.raises(BadInput, match="the driver has no frame"):
        reenactor.animate(head, empty)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_is_told_to_open_its_own(reenactor, head, motion, mona):
    uses = [
        lambda: reenactor.embed(mona), lambda: reenactor.track([mona]), lambda: reenactor.animate(head, motion),
        lambda: reenactor.animate_video([mona], motion, motion),
    ]  # fmt: skip
    for use in uses:
        child = os.fork()
        if child == 0:  # os._exit: pytest must not go on in the child
            try:
                use()
            except BadInput as error:
                os._exit(7 if "opened before a fork" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_head_whose_tuned_weights_make_no_image_is_one_line(reenactor, head, motion):
    state = reenactor.checkpoint.networks.generator.state_dict()
    weights = {name: np.ones(value.shape, np.float32) for name, value in state.items()}
    broken = dataclasses.replace(head, tuned=weights)
    with pytest.raises(BadInput, match="these weights make no image"):
        next(reenactor.animate(broken, motion))
