"""Hair below the ears and the face hangs: it does not turn with the head."""

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks.pose import NECK, fit_pose, rotate_3d
from fewshot_heads.rendering.hanging import behind_neck, hanging_lengths
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


def tails(landmarks, length):
    """A matte of a face with tails of hair beside the neck, which end so far below the lobes, head units."""
    pose = fit_pose(landmarks)
    matte = np.zeros((SIZE, SIZE), np.float32)
    cv2.fillConvexPoly(matte, cv2.convexHull(landmarks.points.round().astype(np.int32)), 1.0)
    for side in (-1, 1):
        top, end = pose.apply(np.array([[0.6 * side, 0.0, 0.9], [1.0 * side, 0.5 + length, 0.9]]))[:, :2]
        cv2.rectangle(matte, top.astype(int).tolist(), end.astype(int).tolist(), 1.0, -1)
    return matte


def behind(landmarks, length, on_body_below=SIZE):
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    points = np.stack([columns.ravel(), rows.ravel()], 1)
    head, body = tails(landmarks, length).ravel(), np.zeros(SIZE * SIZE)
    body[points[:, 1] > on_body_below] = 1
    return behind_neck(points, head, body, landmarks, SIZE).reshape(SIZE, SIZE)


def test_short_hair_beside_a_neck_is_behind_it_and_long_hair_is_not():
    landmarks = measured_face(scale=45, center=(128, 90))
    found, middle = behind(landmarks, 0.8), round(landmarks.points[30, 0])
    assert found[:, middle + 1 :].min() == 0 and found[:, : middle - 1].max() == 0
    assert found.max() > 0.99 and found.min() < -0.99
    hull = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(landmarks.points.round().astype(np.int32)), 1)
    assert np.abs(found[hull > 0]).max() < 0.05
    assert not behind(landmarks, 1.6).any()
    assert behind(landmarks, 0.8, 150)[:150].any() and not behind(landmarks, 0.8, 150)[150:].any()
    assert not behind(measured_face((0, 0.6, 0), scale=45, center=(128, 90)), 0.8).any()


def projected(landmarks, head, body, target):
    """The coverage of a head's surface below the chin, bool [n, CELLS]; the body is everywhere or nowhere."""
    surface = HeadSurface(landmarks, head, SIZE, np.full((SIZE, SIZE), 255 * body, np.uint8))
    return surface.project(target).coverage[round((landmarks.points[8, 1] + 12) * CELLS / SIZE) :] > 0.5


@pytest.mark.parametrize("side", [-1, 1])
def test_hair_on_the_far_side_goes_behind_the_neck(side):
    landmarks = measured_face(scale=45, center=(128, 90))
    target, head = turned_about_the_neck(landmarks, (0, 0.6 * side, 0)), layer(tails(landmarks, 1.1))
    on_body, free = (projected(landmarks, head, body, target) for body in (1, 0))
    # The far side is the one toward which the nose has moved.
    columns = np.arange(CELLS) + 0.5 - CELLS / 2
    far = np.sign(columns) == np.sign(target.points[30, 0] - landmarks.points[30, 0])
    outer = [np.abs(columns[far & each.any(0)]).max(initial=0) * SIZE / CELLS / 45 for each in (on_body, free)]
    assert outer[0] - outer[1] > 0.1  # head units
    assert (on_body[:, ~far] == free[:, ~far]).all() and free[:, ~far].sum() > 20


def test_loose_hair_that_covers_the_ears_stays_beside_the_face():
    landmarks = measured_face(scale=45, center=(128, 90))
    head, target = layer(tails(landmarks, 1.1), (40, 25, 20)), turned_about_the_neck(landmarks, (0, 0.6, 0))
    hull = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(landmarks.points.round().astype(np.int32)), 1)
    head[hull > 0, :3] = (205, 160, 130)
    on_body, free = (projected(landmarks, head, body, target) for body in (1, 0))
    assert (on_body == free).all() and free.sum() > 20
