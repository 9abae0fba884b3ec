"""Edits of a head as pictures: nothing changes for nothing, little changes for little, and a loop closes."""

import numpy as np
import pytest

from fewshot_heads.errors import BadInput


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


def test_a_wrong_control_is_told(reenactor, head):
    with pytest.raises(BadInput, match="did you mean 'smile'"):
        reenactor.edit(head, smil=1)
