"""Irises that turn: they move as asked, keep their size, and leave all around the eye alone."""

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS, Landmarks
from fewshot_heads.landmarks.aspect_ratio import eye_aspect_ratios
from fewshot_heads.landmarks.pose import MEAN_HEAD
from fewshot_heads.rendering.gaze import iris_offsets, turn_irises

SCALE = 160  # pixels per head unit
EYES = ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS))


def face(iris=(0.0, 0.0), lids=1.0):
    """A frontal face with the irises moved by head units, and the lids opened by a factor."""
    points = MEAN_HEAD.copy()
    for eye, center in EYES:
        middle = points[eye, 1].mean()
        points[eye, 1] = middle + lids * (points[eye, 1] - middle)
        points[center] = points[eye].mean(0) + [*iris, 0]
    return Landmarks.from_array(SCALE * points + [128, 128, 0])


OPENINGS = eye_aspect_ratios(face(), face())


def drawn(landmarks):
    """Skin with dark red irises on white eyes."""
    frame = np.full((256, 256, 3), (200, 150, 120), np.uint8)
    for eye, iris in EYES:
        cv2.fillPoly(frame, [landmarks.points[eye].round().astype(np.int32)], (255, 255, 255))
        white = (frame == 255).all(-1)
        disc = np.zeros(frame.shape[:2], np.uint8)
        width = np.ptp(landmarks.points[eye, 0])
        cv2.circle(disc, landmarks.points[iris].round().astype(int).tolist(), round(0.18 * width), 1, -1)
        frame[white & (disc > 0)] = (90, 20, 20)
    return frame


def irises(frame):
    """Center x and area of the dark places left and right of the nose."""
    dark = frame.astype(int).sum(-1) < 300
    return [(np.nonzero(half)[1].mean() + offset, half.sum())
            for half, offset in ((dark[:, :128], 0), (dark[:, 128:], 128))]  # fmt: skip


@pytest.mark.parametrize("shift", [-0.03, 0.03])
def test_both_irises_move_as_far_as_asked_and_keep_their_size(shift):
    frame = drawn(face())
    turned = turn_irises(frame, iris_offsets(face()), OPENINGS, face((shift, 0)))
    for (before, area), (after, area_after) in zip(irises(frame), irises(turned), strict=True):
        assert after - before == pytest.approx(shift * SCALE, abs=0.6)
        assert area_after == pytest.approx(area, rel=0.15)


def test_nothing_changes_outside_the_eyes():
    frame, eyes = drawn(face()), np.zeros((256, 256), np.uint8)
    for eye, _ in EYES:
        cv2.fillPoly(eyes, [face().points[eye].round().astype(np.int32)], 1)
    changed = (turn_irises(frame, iris_offsets(face()), OPENINGS, face((0.04, 0.01))) != frame).any(-1)
    assert changed.any() and not changed[cv2.dilate(eyes, np.ones((5, 5))) == 0].any()


def test_an_iris_that_stays_and_a_closed_eye_are_left_alone():
    frame = drawn(face())
    assert turn_irises(frame, iris_offsets(face()), OPENINGS, face()) is frame
    assert turn_irises(frame, iris_offsets(face()), OPENINGS, face((0.04, 0), lids=0.05)) is frame


def test_an_iris_never_leaves_the_white():
    turned = turn_irises(drawn(face()), iris_offsets(face()), OPENINGS, face((0.3, 0)))
    for (x, area), (eye, _), (_, area_before) in zip(irises(turned), EYES, irises(drawn(face())), strict=True):
        left, right = face().points[eye, 0].min(), face().points[eye, 0].max()
        assert left < x < right and area > 0.4 * area_before  # the rest is behind the lids at the corner


def test_an_iris_that_looks_up_is_followed_by_white_and_not_by_a_smear():
    turned = turn_irises(drawn(face()), iris_offsets(face()), OPENINGS, face((0, -0.05)))
    for (_, area), (eye, _), (_, area_before) in zip(irises(turned), EYES, irises(drawn(face())), strict=True):
        middle, low = face().points[eye, 0].mean(), face().points[eye, 1].max()
        assert (turned[int(low) - 3, int(middle) - 1 : int(middle) + 2] > 200).all()
        assert area < 0.8 * area_before  # the rest is behind the upper lid


def test_an_iris_stays_round_in_an_eye_that_opens_wide():
    wide = face(lids=1.6)
    stretched = drawn(face(lids=1.6))
    for eye, iris in EYES:  # as a warp of the lids shows it
        white = np.zeros(stretched.shape[:2], np.uint8)
        cv2.fillPoly(white, [wide.points[eye].round().astype(np.int32)], 1)
        stretched[white > 0] = 255
        axes = 0.18 * np.ptp(wide.points[eye, 0]) * np.array([1, 1.6])
        iris_mask = np.zeros_like(white)
        cv2.ellipse(
            iris_mask,
            wide.points[iris].round().astype(int).tolist(),
            axes.round().astype(int).tolist(),
            0,
            0,
            360,
            1,
            -1,
        )
        stretched[(white & iris_mask) > 0] = (90, 20, 20)
    round_again = turn_irises(stretched, iris_offsets(face()), OPENINGS, wide)
    for half in (slice(0, 128), slice(128, 256)):
        y, x = np.nonzero(round_again[:, half].astype(int).sum(-1) < 300)
        assert np.ptp(y) == pytest.approx(np.ptp(x), abs=2)
        y, x = np.nonzero(stretched[:, half].astype(int).sum(-1) < 300)
        assert np.ptp(y) > np.ptp(x) + 2


@pytest.mark.parametrize("shift", [0.02, 0.03])
def test_what_a_lid_covers_is_not_drawn_from_above_the_center_where_catchlights_are(shift):
    half_open = face(lids=0.7)
    frame = drawn(half_open)
    iris = (frame == (90, 20, 20)).all(-1)
    iris[round(half_open.points[RIGHT_IRIS, 1]) - 1 :] = False
    frame[iris] = (90, 250, 20)
    openings = eye_aspect_ratios(half_open, half_open)
    turned = turn_irises(frame, iris_offsets(half_open), openings, face((0, shift), lids=0.7))
    assert 0 < ((turned[..., 1] > 150) & (turned[..., 0] < 150)).sum() <= iris.sum()
