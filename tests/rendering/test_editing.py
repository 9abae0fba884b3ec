"""Edits of a head as pictures: nothing changes for nothing, little changes for little, and a loop closes."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from fewshot_heads.driving.face_editing import edit_face
from fewshot_heads.driving.motion import Motion
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks.canonical_face import CanonicalFace


@pytest.fixture(scope="module")
def head(reenactor, mona):
    return reenactor.embed([mona])


def changed(a, b):
    return np.abs(a.astype(int) - b).max(2) > 8


def test_strength_0_is_the_picture(reenactor, head, mona):
    assert np.array_equal(reenactor.edit(head), mona) and np.array_equal(reenactor.edit(head, smile=0, yaw=0.0), mona)


def test_an_edit_changes_what_it_names_and_keeps_the_rest(reenactor, head, mona):
    face = head.crop.from_crop(head.landmarks[0]).points
    smile, blink = changed(reenactor.edit(head, smile=1), mona), changed(reenactor.edit(head, blink=1), mona)
    eyes, mouth = int(face[36:48, 1].mean()), int(face[48:68, 1].mean())
    assert smile[mouth - 15 : mouth + 15].sum() > 100 and smile[: eyes + 5].sum() < 0.1 * smile.sum()
    assert blink[eyes - 8 : eyes + 8].sum() > 50 and blink[mouth - 10 :].sum() == 0


def test_a_slight_edit_is_near_the_picture(reenactor, head, mona):
    slight = reenactor.edit(head, smile=0.02, yaw=0.2)
    assert 10 * np.log10(255**2 / ((slight.astype(float) - mona) ** 2).mean()) > 35


def test_further_edits_reuse_the_renderer_and_repeat(reenactor, head):
    first, editor = reenactor.edit(head, yaw=15), reenactor.editor(head)
    assert np.array_equal(first, reenactor.edit(head, yaw=15)) and reenactor.editor(head) is editor


def test_a_loop_starts_at_the_picture_and_is_symmetric(reenactor, head, mona):
    frames = list(reenactor.editor(head).loop({"smile": 1.0}, 4))
    assert len(frames) == 4 and np.array_equal(frames[0], mona)
    assert np.abs(frames[1].astype(int) - frames[3]).max() <= 2
    assert np.abs(frames[2].astype(int) - reenactor.edit(head, smile=1)).max() <= 2


def test_an_edit_is_turned_as_the_picture_was_given(reenactor, mona):
    aside = np.ascontiguousarray(np.rot90(mona))
    edited = reenactor.edit(reenactor.embed([aside]), blink=1)
    assert edited.shape == aside.shape and 20 < changed(edited, aside).sum() < aside[..., 0].size / 10


def test_a_pose_is_a_driver_that_gives_the_edit_on_its_own_portrait(reenactor, head, mona, tmp_path):
    values = {"smile": 0.8, "yaw": 12.0, "blink": 0.7}
    reenactor.editor(head).motion(values).save(tmp_path / "pose.safetensors")
    still, edited = reenactor.animate(head, Motion.load(tmp_path / "pose.safetensors"))
    expected = reenactor.edit(head, **values).astype(float)
    assert np.abs(still.astype(int) - mona).mean() < 2  # renderings are softer than the picture
    assert np.abs(edited - expected).mean() < 1.5 < 5 < np.abs(mona - expected).mean()


def test_a_pose_changes_another_portrait_that_looks_like_the_edit_more_than_like_its_source(reenactor, head):
    turned = head.landmarks[0]
    portrait = edit_face(turned, {"yaw": 20.0, "smile": 1.0})
    pose = reenactor.editor(head).motion({"yaw": 20.0})
    chosen, named = (retarget(portrait, pose.landmarks, reference=reference)[1] for reference in (None, pose.reference))
    yaw = [CanonicalFace.of(face).pose.rotation[0, 2] for face in (portrait, chosen, named)]
    assert abs(yaw[1] - yaw[0]) < 0.01 < 0.2 < abs(yaw[2] - yaw[0])  # only the named reference turns further


def test_a_loop_is_a_driver_too(reenactor, head):
    motion = reenactor.editor(head).motion({"smile": 1.0}, 6, Fraction(10))
    points = np.stack([face.points for face in motion.landmarks])
    assert len(motion) == 6 and motion.rate == 10 and motion.reference == 0
    assert np.allclose(points[1], points[5]) and not np.allclose(points[1], points[3])


def test_a_close_up_is_the_same_edit_in_a_small_picture_of_the_head(reenactor, mona):
    height, width = (4 * side for side in mona.shape[:2])
    wide = cv2.copyMakeBorder(cv2.resize(mona, (width, height)), 0, 0, 300, 200, cv2.BORDER_REPLICATE)
    head = reenactor.embed([wide])
    small = head.close_up(256)
    scale = 256 / head.crop.side
    assert small.crop.side == pytest.approx(256) and small.textures.shape == (1, 256, 256, 3)
    assert max(small.picture.shape[:2]) < 1.3 * 256
    left, top = (
        round(a - b / scale)
        for a, b in zip((head.crop.left, head.crop.top), (small.crop.left, small.crop.top), strict=True)
    )
    edited = reenactor.edit(head, yaw=15, blink=1)
    part = edited[top:, left:][: round(small.picture.shape[0] / scale), : round(small.picture.shape[1] / scale)]
    expected = cv2.resize(part, small.picture.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int)
    assert (
        np.abs(reenactor.edit(small, yaw=15, blink=1) - expected).mean() < 3 < np.abs(small.picture - expected).mean()
    )


def test_a_wrong_control_is_told(reenactor, head):
    with pytest.raises(BadInput, match="did you mean 'smile'"):
        reenactor.edit(head, smil=1)
