"""The driver is tracked while the head is made."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from fewshot_heads import NoFaceFound, read_video
from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.driver_tracking import tracked_meanwhile
from fewshot_heads.driving import tracking as driving_tracking
from fewshot_heads.driving.tracking import track
from tests.conftest import write_clip

CONFIG = load_config("animate")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")


@pytest.fixture
def clip(tmp_path, driver_frames):
    return write_clip(tmp_path / "clip.mp4", driver_frames[:6])


@pytest.mark.parametrize("forks", [False, pytest.param(True, marks=on_linux)])
def test_the_motion_is_that_of_the_library(clip, reenactor, forks, monkeypatch):
    monkeypatch.setattr("fewshot_heads.cli.driver_tracking.can_fork", lambda: forks)
    with tracked_meanwhile(reenactor, read_video(clip), CONFIG) as tracked:
        motion = tracked()
    expected = track(read_video(clip), reenactor.detectors, rate=read_video(clip).rate, pixels=True)
    for found, face in zip(motion.landmarks, expected.landmarks, strict=True):
        np.testing.assert_array_equal(found.to_array(), face.to_array())
    assert len(motion.mouths) == 6
    np.testing.assert_array_equal(motion.shading[3], expected.shading[3])
    assert motion.rate == expected.rate and motion.shots == expected.shots


def test_a_saved_motion_stays_as_it_is(clip, reenactor):
    motion = reenactor.track(clip)
    with tracked_meanwhile(reenactor, motion, CONFIG) as tracked:
        assert tracked() is motion


@pytest.mark.parametrize("forks", [False, pytest.param(True, marks=on_linux)])
def test_an_error_of_the_driver_comes_with_its_motion(tmp_path, reenactor, forks, monkeypatch):
    monkeypatch.setattr("fewshot_heads.cli.driver_tracking.can_fork", lambda: forks)
    path = write_clip(tmp_path / "grey.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 3)
    message = r"grey\.mp4.*any of 3 frames"
    with tracked_meanwhile(reenactor, read_video(path), CONFIG) as tracked, pytest.raises(NoFaceFound, match=message):
        tracked()


def test_an_error_in_the_block_ends_the_thread_at_its_next_frame(clip, reenactor, monkeypatch):
    seen, threads = [], []

    def slow(frames, *_, **__):
        threads.append(threading.current_thread())
        for frame in frames:
            seen.append(frame)
            time.sleep(0.1)
            yield None

    monkeypatch.setattr("fewshot_heads.cli.driver_tracking.can_fork", lambda: False)
    monkeypatch.setattr("fewshot_heads.cli.driver_tracking.observe", slow)
    with pytest.raises(ZeroDivisionError), tracked_meanwhile(reenactor, read_video(clip), CONFIG):
        while not seen:
            time.sleep(0.01)
        raise ZeroDivisionError
    assert len(seen) < 4 and not threads[0].is_alive()


def test_tracking_needs_neither_torch_nor_scipy():
    code = (
        f"import sys, {driving_tracking.__name__}, fewshot_heads.cli.driver_tracking, fewshot_heads.landmarks.mediapipe"
    )
    code += "; print({'torch', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
