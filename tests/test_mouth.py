"""The inside of a mouth that opens is the driver's."""

import cv2
import numpy as np
import pytest

from fewshot_heads import BadInput
from fewshot_heads.landmarks import INNER_LIPS
from fewshot_heads.landmarks.retarget import Face, retarget
from fewshot_heads.landmarks.tracking import Motion
from fewshot_heads.mouth import Mouth
from fewshot_heads.painter import Painter


@pytest.fixture(scope="module")
def motion(reenactor, driver_frames):
    return reenactor.track(driver_frames)


@pytest.fixture(scope="module")
def opened(reenactor, mona, motion):
    """Mona Lisa's painter, her face with the widest of the driver's mouths, and that mouth."""
    head = reenactor.embed([mona])
    faces = retarget(head.landmarks[0], motion.cropped(reenactor.size, lift=head.lift), side=reenactor.size)
    widest = int(np.argmax([Face.of(face).mouth_opening() for face in faces]))
    painter = Painter(head, reenactor.networks.generator, reenactor.size, reenactor.device)
    return painter, faces[widest], motion.mouths[widest]


def between_lips(frame, face):
    """Grey levels of a frame [R, R, 3] in the middle of a mouth, seen from the front at one size."""
    lips = face.points[INNER_LIPS].astype(np.float32)
    flat = np.float32([[0, 8], [12, 3], [24, 2], [36, 3], [48, 8], [36, 13], [24, 14], [12, 13]])
    straight, _ = cv2.estimateAffine2D(lips, flat)
    return cv2.cvtColor(cv2.warpAffine(frame, straight, (48, 16)), cv2.COLOR_RGB2GRAY)[5:11, 10:38].astype(float)


def test_teeth_are_the_drivers(reenactor, motion, driver_frames, opened):
    painter, face, mouth = opened
    number = motion.mouths.index(mouth)
    theirs = between_lips(driver_frames[number], motion.landmarks[number])
    (with_them,), (painted,) = (painter.paint([face], False, each) for each in ([mouth], None))
    shown, alone = (np.corrcoef(theirs.ravel(), between_lips(x, face).ravel())[0, 1] for x in (with_them, painted))
    assert shown > 0.85 and alone < 0.6
    changed = np.abs(with_them.astype(int) - painted).max(2) > 2
    low, high = face.points[48:68].min(0) - 2, face.points[48:68].max(0) + 2
    y, x = np.nonzero(changed)
    assert low[0] < x.min() < x.max() < high[0] and low[1] < y.min() < y.max() < high[1]


def test_a_mouth_that_has_not_opened_is_left_alone(reenactor, opened, mona):
    painter, face, mouth = opened
    seat = painter.landmarks[0]
    assert painter.seen(face).mouth > 0.5 and painter.seen(seat).mouth == 0
    (with_it,), (without,) = (painter.paint([seat], False, each) for each in ([mouth], None))
    np.testing.assert_array_equal(with_it, without)


def test_teeth_take_the_light_and_the_colours_of_the_picture(opened):
    _, face, mouth = opened
    frame, white = np.zeros((256, 256, 3), np.uint8), np.eye(3)
    grey = mouth.between(frame, face, 1.0, np.full((3, 3), 1 / 3), mouth.brightness)
    assert grey.any() and np.ptp(grey, axis=2).max() <= 1
    levels = [mouth.between(frame, face, 1.0, white, share * mouth.brightness).max() for share in (0.01, 0.6, 1.0, 2.0)]
    assert 0 < levels[0] < levels[1] < levels[2] == levels[3]
    gold = mouth.between(frame, face, 1.0, np.diag([1.2, 1.1, 0.7]), mouth.brightness).astype(float)
    plain = mouth.between(frame, face, 1.0, white, mouth.brightness).astype(float)
    assert gold[..., 2].sum() < 0.7 * plain[..., 2].sum() and abs(gold[..., 0].sum() / plain[..., 0].sum() - 1) < 0.01
    half = mouth.between(frame, face, 0.25, white, mouth.brightness).astype(float)
    assert abs(half.sum() / plain.sum() - 0.5) < 0.02


def test_a_mouth_at_the_edge_or_outside_of_the_frame_does_no_harm(opened):
    _, face, mouth = opened
    frame = np.full((256, 256, 3), 90, np.uint8)
    inner = face.points[INNER_LIPS].mean(0)
    for at in ((0, 0), (255, 128), (128, 256), (-500, 100), (100, 900)):
        moved = face.moved(np.float32(inner - at))
        result = mouth.between(frame, moved, 1.0, np.eye(3), mouth.brightness)
        assert result.shape == frame.shape and (result != 90).any() == (min(at) >= 0 and max(at) < 300)


def test_kept_mouths_are_small_and_hold_where_a_face_is_lost(reenactor, motion, driver_frames):
    assert len(motion.mouths) == len(motion) and max(len(mouth.jpeg) for mouth in motion.mouths) < 10_000
    nothing = np.zeros_like(driver_frames[0])
    broken = reenactor.track([nothing, driver_frames[0], nothing, driver_frames[1]])
    assert broken.lost == [0, 2]
    jpegs = [mouth.jpeg for mouth in broken.mouths]
    assert jpegs[0] == jpegs[1] == jpegs[2] != jpegs[3]


def test_a_driver_without_pictures_and_a_painted_mouth_are_alike(reenactor, mona, motion):
    head = reenactor.embed([mona])
    landmarks_only = Motion(motion.landmarks, motion.lost, motion.shots, motion.frame_size)
    options = {"paste_back": False}
    plain = np.stack(list(reenactor.animate(head, landmarks_only, **options)))
    np.testing.assert_array_equal(plain, np.stack(list(reenactor.animate(head, motion, mouth="painted", **options))))
    assert (plain != np.stack(list(reenactor.animate(head, motion, **options)))).any()
    with pytest.raises(BadInput, match="mouth='open'"):
        reenactor.animate(head, motion, mouth="open")


def test_a_tiny_face_has_a_mouth_too(motion, driver_frames):
    tiny = motion.landmarks[0].moved(np.zeros(2, np.float32), 1e-3)
    mouth = Mouth.of(driver_frames[0], tiny)
    assert mouth.between(driver_frames[0], motion.landmarks[0], 1.0, np.eye(3), 100.0).shape == driver_frames[0].shape
