"""A photograph may lie on a side or stand upside down."""

import numpy as np
import pytest

from fewshot_heads.driving.live_driver import LiveDriver
from fewshot_heads.driving.quarter_turns import detect_upright, turned, turned_back
from fewshot_heads.driving.source_detection import detect_sources
from fewshot_heads.head import Head
from fewshot_heads.rendering.animation import FrameRenderer
from fewshot_heads.streaming.controls import Controls
from fewshot_heads.streaming.session import Captured, Puppeteer
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


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_video_has_the_faces_of_the_upright_one(reenactor, driver_frames, turns):
    frames = driver_frames[:3]
    upright = reenactor.track(frames, smooth=0)
    motion = reenactor.track([turned(frame, turns) for frame in frames], smooth=0)
    for found, expected in zip(motion.landmarks, upright.landmarks, strict=True):
        back = turned_back(found, turns, frames[0].shape)
        np.testing.assert_allclose(back.points, expected.points, atol=0.01 * expected.size)
        np.testing.assert_allclose(back.depth, expected.depth, atol=0.03 * expected.size)


def test_a_face_in_an_upside_down_video_is_found_again_where_it_jumps(reenactor, mona):
    right, left = np.hstack([mona * 0, mona]), np.hstack([mona, mona * 0])
    motion = reenactor.track([turned(frame, 2) for frame in (right, left)], smooth=0)
    right, left = (turned_back(face, 2, right.shape).points for face in motion.landmarks)
    np.testing.assert_allclose(right - left, np.broadcast_to([mona.shape[1], 0], left.shape), atol=2)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_live_camera_may_hang_upside_down_or_on_a_side(reenactor, mona, driver_frames, turns):
    renderer = FrameRenderer(reenactor.embed(mona), reenactor.generator, {}, True)

    def driven(turns, mirror_from):
        controls = Controls(1)
        puppeteer = Puppeteer(LiveDriver(reenactor.detectors[0], smooth=0), [renderer], controls)
        for number in range(4):
            if number == mirror_from:
                controls.press("m")
            last = puppeteer.drive(Captured(number, turned(driver_frames[number], turns)))
        return last.face.points

    for mirror_from in (2, None):
        np.testing.assert_allclose(driven(turns, mirror_from), driven(0, mirror_from), atol=1.5)


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
