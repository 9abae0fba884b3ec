"""A photograph may lie on a side or stand upside down."""

import numpy as np
import pytest

from fewshot_heads.driving.quarter_turns import detect_upright
from fewshot_heads.driving.source_detection import detect_sources
from fewshot_heads.head import Head
from tests.faces import face


@pytest.mark.parametrize("turns", range(4))
def test_a_face_is_turned_upright_in_its_place(reenactor, mona, turns):
    (upright,) = detect_sources([mona], 0, "auto", reenactor.detectors[0], 256)
    (found,) = detect_sources([np.rot90(mona, -turns).copy()], 0, "auto", reenactor.detectors[0], 256)
    assert upright.turns == 0 and found.turns == turns
    np.testing.assert_array_equal(found.image, mona)
    np.testing.assert_allclose(found.face.points, upright.face.points, atol=0.02 * upright.face.size)


def test_the_chosen_one_of_two_faces_is_found_again(reenactor, mona):
    both = np.hstack([mona, mona[:, ::-1]])
    picture = np.rot90(both, 2).copy()
    found = [detect_sources([picture], i, "auto", reenactor.detectors[0], 256)[0] for i in (0, 1)]
    assert {source.face.points.mean(0)[0] < mona.shape[1] for source in found} == {True, False}
    assert [source.turns for source in found] == [2, 2]


class Imagining:
    """A detector that finds an upright face in every picture, whatever the picture shows."""

    def __init__(self, face):
        self.face = face

    def glance(self, image):
        return self.face

    def detect(self, image):
        return [self.face]


def test_a_face_stays_as_it_is_where_each_turn_has_one_vote(mona):
    assert detect_upright(mona, Imagining(face()))[2] == 0


def test_an_upside_down_picture_moves_as_the_upright_one_upside_down(reenactor, mona, driver_frames, tmp_path):
    motion = reenactor.track(driver_frames[:3])
    upright, below = reenactor.embed(mona), reenactor.embed(mona[::-1, ::-1].copy())
    below.save(tmp_path / "head.safetensors")
    for options in ({}, {"paste_back": False}):
        expected = list(reenactor.animate(upright, motion, **options))
        frames = list(reenactor.animate(Head.load(tmp_path / "head.safetensors"), motion, **options))
        for frame, plain in zip(frames, expected, strict=True):
            assert frame.shape == plain.shape
            assert np.abs(frame[::-1, ::-1].astype(int) - plain).mean() < 1
