"""A video whose person takes another expression."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fewshot_heads.cli.animation import video_frames
from fewshot_heads.cli.config import load_config
from fewshot_heads.driving.motion import Motion
from fewshot_heads.errors import BadInput
from tests.conftest import write_clip


@pytest.fixture(scope="module")
def video(mona):
    """The portrait, which moves to the right by 4 pixels a frame."""
    height, width = mona.shape[:2]
    moves = [np.array([[1.0, 0, 4 * i], [0, 1, 0]]) for i in range(4)]
    return [cv2.warpAffine(mona, move, (width, height), borderMode=cv2.BORDER_REPLICATE) for move in moves]


@pytest.fixture(scope="module")
def motion(reenactor, video):
    return reenactor.track(video)


@pytest.fixture(scope="module")
def driver(reenactor, mona):
    """Eases from a neutral face to a smile with closed eyes: frames 0 and 2 are the ends."""
    return reenactor.editor(reenactor.embed([mona])).motion({"smile": 1.0, "blink": 1.0}, 4)


def edited(reenactor, video, motion, driver, *options):
    return list(video_frames(reenactor, video, motion, driver, driver, load_config("animate", list(options))))


def test_the_face_follows_the_driver_and_all_else_stays(reenactor, video, motion, driver):
    frames = edited(reenactor, video, motion, driver)
    assert len(frames) == 4
    changes = [np.abs(frame.astype(int) - own).max(2) for frame, own in zip(frames, video, strict=True)]
    face = motion.landmarks[2].points
    (left, top), (right, bottom) = face.min(0).astype(int), face.max(0).astype(int)
    assert (changes[2][top:bottom, left:right] > 12).mean() > 0.05 and changes[2].mean() > 3 * changes[0].mean()
    margin = round(0.3 * motion.landmarks[2].size)
    changes[2][top - margin : bottom + margin, left - margin : right + margin] = 0
    assert changes[2].max() <= 2
    tracked = reenactor.track(frames)
    shift = [own.points[27:36].mean(0) - new.points[27:36].mean(0)
             for own, new in zip(motion.landmarks, tracked.landmarks, strict=True)]  # fmt: skip
    assert np.abs(shift).max() < 2


def test_a_frame_without_a_face_stays_and_the_shorter_of_both_counts(reenactor, video, motion, driver):
    lost = replace(motion, lost=[1])
    short = replace(driver, landmarks=[driver.landmarks[i] for i in (0, 2, 2)], shots=[(0, 3)])
    frames = edited(reenactor, video, lost, short)
    assert len(frames) == 3 and np.array_equal(frames[1], video[1]) and not np.array_equal(frames[2], video[2])


def test_what_covers_the_mouth_of_a_video_stays_whole(reenactor, video, motion, mona, caplog):
    opened = reenactor.editor(reenactor.embed([mona])).motion({"mouth": 1.0}, 4)
    balls = [landmarks.points[48:68].mean(0).round().astype(int).tolist() for landmarks in motion.landmarks]
    radius = round(0.18 * motion.landmarks[0].size)
    covered = [cv2.circle(frame.copy(), ball, radius, (28, 28, 30), -1)
               for frame, ball in zip(video, balls, strict=True)]  # fmt: skip
    frames = edited(reenactor, covered, motion, opened)
    assert caplog.text.count("covers the mouth") == 1
    for frame, own, (x, y) in zip(frames, covered, balls, strict=True):
        patch = np.s_[y - radius // 2 : y + radius // 2, x - radius // 2 : x + radius // 2]
        assert np.abs(frame[patch].astype(int) - own[patch]).max() <= 12


def test_the_library_reads_and_tracks_paths_itself(reenactor, video, mona_path, tmp_path, driver):
    write_clip(tmp_path / "talk.mp4", video)
    driver.save(tmp_path / "smile.safetensors")
    frames = list(reenactor.animate_video(tmp_path / "talk.mp4", Motion.load(tmp_path / "smile.safetensors")))
    assert len(frames) == 4 and frames[0].shape == video[0].shape
    still = list(reenactor.animate_video(tmp_path / "talk.mp4", driver, expression=0.0))
    smiling, neutral = (reenactor.detectors[0].expression(each[2])[44:46].mean() for each in (frames, still))
    assert smiling > neutral + 0.2
    with pytest.raises(BadInput, match="mouth"):
        reenactor.animate_video(video, driver, mouth="none")


def test_a_wrong_option_is_told(reenactor, video, motion, driver):
    with pytest.raises(BadInput, match="reference=9"):
        edited(reenactor, video, motion, driver, "reference=9")
