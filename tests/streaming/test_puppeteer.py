"""From the driver's face to the portrait's: the same as offline, and what dials, mirror and portraits change."""

import numpy as np
import pytest

from fewshot_heads.driving.live_driver import LiveDriver, LiveFace
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.rendering.animation import FrameRenderer
from fewshot_heads.streaming.controls import Controls
from fewshot_heads.streaming.session import Captured, Puppeteer


@pytest.fixture(scope="module")
def portraits(reenactor, mona):
    heads = [reenactor.embed([image]) for image in (mona, np.ascontiguousarray(mona[:, ::-1]))]
    options = ({}, True)
    return [FrameRenderer(head, reenactor.generator, *options) for head in heads]


@pytest.fixture(scope="module")
def motion(reenactor, driver_frames):
    return reenactor.track(driver_frames[:4], smooth=0)


class Replayed:
    """A live driver that replays a motion."""

    def __init__(self, motion):
        self.motion, self.calls = motion, []

    def update(self, frame, time):
        faces = self.motion.landmarks
        return LiveFace(faces[int(time)], faces[0], self.motion.mouths[int(time)])

    def recalibrate(self):
        self.calls.append("recalibrate")

    def mirror(self, width):
        self.calls.append(f"mirror {width}")


def test_live_faces_are_those_of_the_offline_animation(portraits, motion, driver_frames):
    head = portraits[0].head
    puppeteer = Puppeteer(Replayed(motion), portraits, Controls(2))
    live = [puppeteer.drive(Captured(i, frame)) for i, frame in enumerate(driver_frames[:4])]
    cropped = motion.cropped(256, False, head.usual)
    offline = retarget(head.landmarks[0], cropped, reference=0, side=256, still_body=True)
    for driven, face in zip(live, offline, strict=True):
        np.testing.assert_allclose(driven.face.points, face.points, atol=0.1)
        assert driven.mouth is not None
    assert np.abs(live[3].face.points - live[0].face.points).max() > 2


def test_keys_change_what_is_driven(portraits, motion, driver_frames):
    driver, controls = Replayed(motion), Controls(2)
    puppeteer = Puppeteer(driver, portraits, controls)
    first = puppeteer.drive(Captured(3, driver_frames[3]))
    controls.press("n")
    second = puppeteer.drive(Captured(3, driver_frames[3]))
    assert (first.portrait, second.portrait) == (0, 1)
    assert np.abs(first.face.points - second.face.points).max() > 5  # in the other portrait's crop
    controls.press("n")
    controls.pose = controls.expression = 0.0
    still = puppeteer.drive(Captured(3, driver_frames[3]))
    np.testing.assert_allclose(still.face.points, portraits[0].head.landmarks[0].points, atol=1.5)
    for key in "mmmr":
        controls.press(key)
        puppeteer.drive(Captured(3, driver_frames[3]))
    width = driver_frames[0].shape[1]
    assert driver.calls == [f"mirror {width}"] * 3 + ["recalibrate"]


def test_before_the_first_face_the_portrait_is_shown_as_it_is(portraits, reenactor):
    puppeteer = Puppeteer(LiveDriver(reenactor.detectors[0]), portraits, Controls(2))
    driven = puppeteer.drive(Captured(0.0, np.full((120, 160, 3), 90, np.uint8)))
    assert driven.face is portraits[0].head.landmarks[0]
    frame = portraits[0].place(portraits[0].render([driven.face])[0])
    assert np.abs(frame.astype(int) - portraits[0].head.picture).mean() < 4


def test_a_mirrored_camera_turns_the_head_the_other_way(portraits, reenactor, driver_frames):
    def shift(mirror):
        puppeteer = Puppeteer(LiveDriver(reenactor.detectors[0], smooth=0), portraits, Controls(2, mirror=mirror))
        faces = [puppeteer.drive(Captured(t, driver_frames[i])).face for t, i in ((1.0, 0), (1.1, 11))]
        return float((faces[1].points - faces[0].points)[:, 0].mean())

    assert abs(shift(False)) > 1
    assert shift(True) == pytest.approx(-shift(False), abs=0.5 + 0.3 * abs(shift(False)))
