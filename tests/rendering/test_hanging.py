"""Hair below the ears and the face hangs: it does not turn with the head."""

import cv2
import numpy as np

from fewshot_heads.landmarks.pose import NECK, fit_pose, rotate_3d
from fewshot_heads.rendering.hanging import hanging_lengths
from fewshot_heads.rendering.head_surface import CELLS, HeadSurface
from tests.rendering.test_head_surface import SIZE, layer, measured_face


def long_haired(landmarks):
    """A matte of a head with hair down to the image's lower end on both sides of the face."""
    low, high = landmarks.points.min(0), landmarks.points.max(0)
    matte = np.zeros((SIZE, SIZE), np.float32)
    left, top = (low - 0.2 * (high - low)).astype(int)
    right = int(high[0] + 0.2 * (high - low)[0])
    cv2.rectangle(matte, (left, top), (right, SIZE), 1.0, -1)
    return matte, left, right


def turned_about_the_neck(landmarks, angles):
    """A head that turns where it stands."""
    turned = rotate_3d(landmarks, angles)
    shift = (fit_pose(landmarks).apply(NECK) - fit_pose(turned).apply(NECK))[0, :2]
    return turned.moved(-shift.astype(np.float32))


def test_nothing_hangs_in_the_face_or_above_the_ears():
    landmarks = measured_face()
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    lengths = hanging_lengths(np.stack([columns.ravel(), rows.ravel()], 1), landmarks, SIZE).reshape(SIZE, SIZE)
    hull = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(landmarks.points.round().astype(np.int32)), 1)
    unit = fit_pose(landmarks).scale
    assert lengths[hull > 0].max() < 0.02 * unit
    assert lengths[: int(landmarks.points[30, 1])].max() == 0
    assert (np.diff(lengths, axis=0) >= 0).all()  # the longer, the farther down
    below_ear = lengths[-1, int(landmarks.points[0, 0] - 0.1 * unit)]
    assert 0 < below_ear < SIZE - landmarks.points[33, 1]


def test_hair_stays_on_the_shoulders_when_a_head_rolls():
    landmarks = measured_face()
    matte, left, right = long_haired(landmarks)
    turned = turned_about_the_neck(landmarks, np.radians([0, 0, 25]))
    coverage = HeadSurface(landmarks, layer(matte), SIZE).project(turned).coverage
    last = np.flatnonzero(coverage[int(0.97 * CELLS)] > 0.5) * SIZE / CELLS
    assert abs(last.min() - left) < 12 and abs(last.max() - right) < 12  # rigid hair moves by 38 pixels


def test_a_head_at_rest_does_not_move():
    landmarks = measured_face()
    matte, *_ = long_haired(landmarks)
    flow = HeadSurface(landmarks, layer(matte), SIZE).project(landmarks)
    rows, columns = np.mgrid[:CELLS, :CELLS] * (2 / CELLS) - 1 + 1 / CELLS
    moved = np.abs(flow.flow - np.stack([columns, rows], -1))[flow.coverage > 0.5]
    assert moved.max() < 0.1 * 2 / SIZE
