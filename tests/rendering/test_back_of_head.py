"""The back of a head: where it appears, and what it is painted with."""

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d
from fewshot_heads.rendering import head_parts
from fewshot_heads.rendering.back_of_head import BackOfHead
from fewshot_heads.rendering.head_parts import find_head_parts
from fewshot_heads.rendering.head_surface import CELLS
from fewshot_heads.rendering.head_views import HeadViews
from tests.rendering.test_hanging import turned_about_the_neck
from tests.rendering.test_head_surface import SIZE, layer, measured_face

HAIR, SKIN, NECK = (40, 25, 20), (205, 160, 130), (180, 130, 100)


def portrait(landmarks, hair=HAIR, short=False):
    """A head layer: hair around a face with ears, to the chin or to the lobes."""
    points, unit = landmarks_3d(landmarks)[:, :2], fit_pose(landmarks).scale
    center, half = (points.min(0) + points.max(0)) / 2, (points.max(0) - points.min(0)) / 2
    matte = np.zeros((SIZE, SIZE), np.float32)
    ellipse = (center - [0, 0.25 * half[1]]).tolist(), (2 * half * [1.35, 1.35]).tolist(), 0
    cv2.ellipse(matte, ellipse, 1.0, -1, cv2.LINE_AA)
    if short:
        matte[round(landmarks.points[33, 1]) :] = 0
    head = layer(matte, hair)
    hull = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points.round().astype(np.int32)), 1)
    head[hull > 0] = (*SKIN, 255)
    for temple, outward in zip(points[[0, 16]], (-0.1, 0.1), strict=True):
        ear = temple + unit * np.array([outward, 0.2])
        cv2.circle(head, ear.round().astype(int).tolist(), round(0.15 * unit), (*SKIN, 255), -1)
    return head


def back_of_head(landmarks, head=None):
    head = portrait(landmarks) if head is None else head
    return BackOfHead(head, landmarks, SIZE, layer(np.ones((SIZE, SIZE), np.float32), NECK))


def body_of(opacity):
    return np.full((CELLS, CELLS), opacity, np.float32)


def drawn(landmarks, target, head=None, body=0.0):
    """A white frame with the back of the head as in the target, float32 [S, S, 3], 0 to 255."""
    back = back_of_head(landmarks, head)
    frame = back.draw(np.ones((1, 3, SIZE, SIZE), np.float32), [back.project(target, body_of(body))])[0]
    return (frame.transpose(1, 2, 0) + 1) * 127.5


def test_ears_are_skin_beside_the_face_and_hair_is_not():
    landmarks = measured_face()
    found = find_head_parts(portrait(landmarks), landmarks)
    assert found.ears.any() and found.hair.sum() > 500
    assert not (found.ears & found.hair).any() and not (found.hair & found.face).any()
    columns = np.nonzero(found.ears)[1]
    assert (columns < landmarks.points[0, 0]).any() and (columns > landmarks.points[16, 0]).any()


def test_a_forehead_is_skin_above_the_face():
    landmarks, head = measured_face(), portrait(measured_face())
    top = landmarks.points[17:27].mean(0) - [0, 0.25 * fit_pose(landmarks).scale]
    cv2.circle(head, top.round().astype(int).tolist(), round(0.3 * fit_pose(landmarks).scale), (*SKIN, 255), -1)
    found = find_head_parts(head, landmarks)
    assert found.forehead.any() and not (found.forehead & (found.hair | found.face | found.ears)).any()
    assert np.abs(head[found.forehead, :3].astype(int) - SKIN).max() == 0
    assert not find_head_parts(portrait(landmarks), landmarks).forehead.any()


def test_the_scalp_of_a_bald_head_takes_the_place_of_hair():
    landmarks = measured_face()
    hair = find_head_parts(portrait(landmarks, SKIN), landmarks).hair
    assert hair.sum() > 500 and np.nonzero(hair)[0].max() < landmarks.points[36:48, 1].max()


@pytest.mark.parametrize("side", [-1, 1])
def test_a_turned_head_has_hair_behind_its_ear(side):
    landmarks = measured_face()
    target = turned_about_the_neck(landmarks, (0, 0.8 * side, 0))
    frame = drawn(landmarks, target)
    rows, columns = np.nonzero(frame.min(2) < 200)
    x = columns - target.points[27:31, 0].mean()
    assert np.abs(x).max() > 1.3 * fit_pose(target).scale  # behind the ear, which is about 1 from the nose
    assert np.abs(frame[frame.min(2) < 100] - np.multiply(HAIR, 0.82)).mean() < 8  # less light than on the front


@pytest.mark.parametrize("side", [-1, 1])
def test_the_skull_curves_in_toward_the_nape_and_ends_at_the_hairline(side):
    landmarks = measured_face()
    target = turned_about_the_neck(landmarks, (0, 0.8 * side, 0))
    dark, unit = drawn(landmarks, target).min(2) < 128, fit_pose(target).scale
    nose = target.points[27:31, 0].mean()
    reach = [np.abs(np.nonzero(row)[0] - nose).max(initial=0) / unit for row in dark]
    lobes = target.points[33, 1]
    above, below = (reach[round(lobes + height * unit)] for height in (-0.6, 0.2))
    assert 0.15 < above - below < 0.7  # narrower, and still behind the neck
    assert max(reach[round(lobes + 0.5 * unit) :]) == 0


@pytest.mark.parametrize("side", [-1, 1])
def test_short_hair_ends_behind_the_ear_above_the_skin_of_the_nape(side):
    landmarks = measured_face()
    target = turned_about_the_neck(landmarks, (0, 0.7 * side, 0))
    short, long = (portrait(landmarks, short=short) for short in (True, False))
    hair, skin = {}, {}
    for name, head in (("short", short), ("long", long)):
        frame = drawn(landmarks, target, head)
        below = round(target.points[33, 1] + 0.12 * fit_pose(target).scale)
        row = frame[below][frame[below].min(1) < 200]
        hair[name], skin[name] = (row.min(1) < 50).sum(), (np.abs(row - NECK).max(1) < 30).sum()
    assert skin["short"] > hair["short"] and hair["long"] > 5 * skin["long"]


def test_a_head_without_a_body_has_no_black_nape():
    landmarks, head = measured_face(), portrait(measured_face(), (120, 90, 60), short=True)
    back = BackOfHead(head, landmarks, SIZE, np.zeros((SIZE, SIZE, 4), np.uint8))
    target = turned_about_the_neck(landmarks, (0, 0.7, 0))
    frame = back.draw(np.ones((1, 3, SIZE, SIZE), np.float32), [back.project(target, body_of(0.0))])[0]
    assert frame.min() > 2 * 30 / 255 - 1


@pytest.mark.parametrize("side", [-1, 1])
def test_the_far_wall_of_the_skull_is_not_seen_through_its_front(side):
    """From the rim of the skull toward the face, the paint goes on to the front of the head."""
    landmarks = measured_face()
    projection = back_of_head(landmarks).project(turned_about_the_neck(landmarks, (0, 0.8 * side, 0)), body_of(0))
    rows = np.flatnonzero((projection.opacity > 0.9).sum(1) > 10)
    middle = rows[len(rows) // 4 : -len(rows) // 4]
    across = [projection.flow[row, projection.opacity[row] > 0.9, 0] for row in middle]
    steps = np.abs(np.concatenate([np.diff(longitudes) for longitudes in across]))
    assert np.minimum(steps, 2 - steps).max() < 0.4  # of half around; to the far wall it is more


def test_a_nape_is_not_seen_before_the_neck_of_a_head_that_looks_up():
    landmarks = measured_face()
    looking_up = turned_about_the_neck(landmarks, (-0.45, 0, 0))
    chin = round(looking_up.points[8, 1])
    alone, before_body = (drawn(landmarks, looking_up, body=body).min(2) < 128 for body in (0.0, 1.0))
    assert alone[chin:].sum() > 50 and not before_body[chin:].any()


def test_hair_beside_a_neck_is_seen_before_the_shoulders():
    landmarks = measured_face()
    aside = turned_about_the_neck(landmarks, (0, 0.6, 0))
    alone, before_body = ((drawn(landmarks, aside, body=body).min(2) < 128).sum() for body in (0.0, 1.0))
    assert 0.2 * alone < before_body < alone


def test_nothing_is_behind_a_head_in_its_own_pose():
    landmarks = measured_face()
    assert (drawn(landmarks, landmarks) == 255).all()


def test_the_back_appears_gradually():
    landmarks = measured_face()
    back = back_of_head(landmarks)
    targets = [turned_about_the_neck(landmarks, (0, turn, 0)) for turn in (0.1, 0.3)]
    opacity = [float(back.project(target, body_of(0)).opacity.max()) for target in targets]
    assert 0.1 < opacity[0] < 0.6 < opacity[1]


def test_a_head_of_which_nothing_is_seen_has_no_back():
    landmarks = measured_face()
    target = turned_about_the_neck(landmarks, (0, 0.8, 0))
    assert (drawn(landmarks, target, np.zeros((SIZE, SIZE, 4), np.uint8)) == 255).all()


def test_stretched_hair_gives_way_to_the_back_and_a_face_does_not():
    source = measured_face()
    target = turned_about_the_neck(source, (0, 0.8, 0))
    views = HeadViews([source], portrait(source)[None], SIZE, np.zeros((SIZE, SIZE, 4), np.uint8)).blend(target)
    weights, scale = views.weights.sum(0), views.weights.shape[-1] / SIZE
    covered = views.back.opacity > 0.9
    assert (weights[covered] < 0.1).mean() > 0.15
    nose_and_mouth = (target.points[27:60] * scale).astype(int)
    assert weights[nose_and_mouth[:, 1], nose_and_mouth[:, 0]].min() > 0.95


def test_where_colors_do_not_tell_hair_from_skin_the_light_does(monkeypatch):
    """A face with a dark side has all levels. Without the light, black hair would be the skin of a bald head."""
    monkeypatch.setattr(head_parts, "color_deviations", lambda image, _: np.zeros(image.shape[:2]))
    landmarks, head, unit = measured_face(), portrait(measured_face()), fit_pose(measured_face()).scale
    forehead = landmarks.points[17:27].mean(0) - [0, 0.3 * unit]
    cv2.circle(head, forehead.round().astype(int).tolist(), round(0.4 * unit), (*SKIN, 255), -1)
    hair = find_head_parts(head, landmarks).hair
    assert hair.sum() > 500 and (head[hair, :3] == HAIR).all()
