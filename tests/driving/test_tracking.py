from dataclasses import replace

import numpy as np
import pytest

from fewshot_heads.driving.smoothing import smoothed
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.landmarks.crop import Crop
from tests.faces import face


class Scripted:
    """A detector that reads the face's place from the picture's first pixels; 0 means no face."""

    def __init__(self):
        self.searches = 0

    def detect(self, image):
        self.searches += 1
        y, x = np.nonzero(image[..., 0] == 255)
        return [face(center=(cx, cy), scale=30) for cx, cy in zip(x, y, strict=True)][::-1]

    def glance(self, image):
        return None

    def follow(self, image, last):
        near = [face for face in self.detect(image) if np.abs(middle(face) - middle(last)).max() < last.size]
        self.searches -= 1
        return near[0] if near else None


def picture(*centers):
    image = np.zeros((240, 320, 3), np.uint8)
    for x, y in centers:
        image[y, x] = 255
    return image


def middle(landmarks):
    return landmarks.points.mean(0) - face(center=(0, 0), scale=30).points.mean(0)


def test_a_face_is_followed_without_searching_every_picture():
    detector = Scripted()
    motion = track((picture((100 + 2 * i, 120)) for i in range(10)), [detector], smooth=0)
    assert detector.searches == 1 and motion.lost == [] and motion.frame_size == (240, 320)
    np.testing.assert_allclose([middle(m)[0] for m in motion.landmarks], 100 + 2 * np.arange(10), atol=0.5)


def test_lost_frames_are_held_and_named():
    frames = [picture((100, 120))] * 3 + [picture()] * 2 + [picture((104, 120)), picture(), picture((104, 120))]
    motion = track(frames, [Scripted(), Scripted()], smooth=0)
    assert motion.lost == [3, 4, 6] and motion.describe_lost() == "3-4, 6"
    np.testing.assert_allclose(motion.landmarks[4].points, motion.landmarks[2].points)


def test_a_face_that_comes_late_is_found():
    motion = track([picture()] * 4 + [picture((100, 120))] * 2, [Scripted(), Scripted()], smooth=0)
    assert motion.lost == [0, 1, 2, 3] and len(motion) == 6


@pytest.mark.parametrize("searchers", [1, 2, 4])
@pytest.mark.parametrize("blank, shown", [(0, 9), (3, 9), (14, 3), (15, 9), (24, 20), (33, 1)])
def test_no_frame_with_a_face_is_frozen_after_a_long_time_without_one(blank, shown, searchers):
    before, after = [picture((40, 120))] * (blank == 24), [picture((100 + i, 120)) for i in range(shown)]
    motion = track([*before, *[picture()] * blank, *after], [Scripted() for _ in range(searchers)], smooth=0)
    first = len(before) + blank
    assert motion.lost == list(range(len(before), first))
    np.testing.assert_allclose([middle(m)[0] for m in motion.landmarks[first:]], 100 + np.arange(shown), atol=0.5)


def test_few_frames_without_a_face_are_searched_and_few_wait(monkeypatch):
    detector = Scripted()
    motion = track([picture((100, 120))] + [picture()] * 100, [detector])
    assert len(motion.lost) == 100 and detector.searches < 25
    monkeypatch.setattr("fewshot_heads.driving.face_follower._MAX_WAITING_BYTES", 2 * picture().nbytes)
    thrifty = Scripted()
    track([picture((100, 120))] + [picture()] * 100, [thrifty])
    assert 35 < thrifty.searches < 50


@pytest.mark.parametrize(
    "frame, words",
    [
        (np.zeros((0, 0, 3), np.uint8), "0x0 pixels is too small"),
        (np.zeros((240, 320), np.uint8), r"expected uint8 \[H, W, 3\]"),
        (np.zeros((240, 320, 3)), r"got float64 \[240, 320, 3\]"),
        ("frame.png", "got str"),
        (np.zeros((240, 322, 3), np.uint8), r"where frame 0 has \[240, 320, 3\]"),
    ],
)
def test_a_frame_that_is_no_image_like_the_first_never_reaches_a_detector(frame, words):
    detector = Scripted()
    with pytest.raises(BadInput, match=f"clip.mp4, frame 1: .*{words}"):
        track([picture((100, 120)), frame], [detector], name="clip.mp4")
    assert detector.searches <= 1


def test_a_driver_without_a_face_is_refused_by_name():
    with pytest.raises(NoFaceFound, match="clip.mp4: no face in any of 3 frames"):
        track([picture()] * 3, [Scripted()], name="clip.mp4")


def test_the_chosen_face_of_several_is_followed():
    frames = [picture((80, 100), (240, 150))] * 4
    first = track(frames, [Scripted()], face=0, smooth=0)
    second = track(frames, [Scripted()], face=1, smooth=0)
    assert abs(middle(first.landmarks[0])[0] - middle(second.landmarks[0])[0]) > 100
    np.testing.assert_allclose(second.landmarks[-1].points, second.landmarks[0].points, atol=0.01)


def test_the_chosen_face_is_followed_through_a_miss_in_the_first_group():
    both = picture((80, 100), (240, 150))
    motion = track([both, picture(), *[picture((240, 150), (80, 100))] * 2], [Scripted()] * 4, face=1, smooth=0)
    assert motion.lost == [1]
    np.testing.assert_allclose(motion.landmarks[-1].points, motion.landmarks[0].points, atol=0.01)


def test_a_jump_of_the_face_begins_a_new_shot_with_its_own_box():
    frames = [picture((60, 120))] * 3 + [picture((250, 120))] * 3
    motion = track(frames, [Scripted()], smooth=0)
    assert motion.shots == [(0, 3), (3, 6)]
    cropped = motion.cropped(256)
    np.testing.assert_allclose(cropped[0].points, cropped[5].points, atol=0.01)


def test_smoothing_quiets_a_still_face_and_keeps_a_moving_one():
    random = np.random.default_rng(0)
    still = [face(center=(100, 100)) for _ in range(60)]
    noisy = [replace(f, points=f.points + random.normal(0, 0.3, (70, 2)).astype(np.float32)) for f in still]
    skin = face(surface=0).surface
    noisy = [replace(f, surface=skin + random.normal(0, 0.3, skin.shape).astype(np.float32)) for f in noisy]
    for part in ("points", "surface"):
        rough, quiet = (np.array([getattr(f, part) for f in faces]) for faces in (noisy, smoothed(noisy)))
        assert np.abs(np.diff(quiet, 2, axis=0)).mean() < 0.5 * np.abs(np.diff(rough, 2, axis=0)).mean()
    moving = [face(center=(100 + 40 * np.sin(i / 5), 100)) for i in range(60)]
    kept = np.array([f.points for f in smoothed(moving)])[5:-5]
    assert np.abs(kept - np.array([f.points for f in moving])[5:-5]).mean() < 0.6  # no lag: a frame is up to 8 px


def test_the_full_picture_can_be_the_box():
    motion = Motion([face()], [], [(0, 1)], (512, 512))
    np.testing.assert_allclose(motion.cropped(256, full=True)[0].points, face().points / 2)
    assert Crop.full(200, 300, 256).left == 50


def test_a_second_face_that_is_not_there_is_not_called_no_face():
    with pytest.raises(NoFaceFound, match="driver_face=1 asked for, but never 2 faces in one of 3 frames"):
        track([picture((100, 120))] * 3, [Scripted()], face=1)


def test_a_neighbour_in_the_same_window_does_not_take_over():
    both = picture((100, 120), (140, 120))
    motion = track([both] * 4, [Scripted()], face=1, smooth=0)  # Scripted lists the right one first
    assert [round(middle(face)[0]) for face in motion.landmarks] == [100] * 4


def test_a_long_clip_without_a_face_is_not_searched_frame_by_frame():
    detector = Scripted()
    with pytest.raises(NoFaceFound):
        track([picture()] * 100, [detector])
    assert detector.searches <= 25
