"""Eyes close by lids that come down, not by being squeezed."""

import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks import LEFT_EYE, RIGHT_EYE
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS, eye_aspect_ratios
from fewshot_heads.landmarks.pose import rotate_3d
from fewshot_heads.landmarks.regions import EYELIDS
from fewshot_heads.rendering.eyelids import close_eyelids, closed_shares, open_eyelids
from fewshot_heads.rendering.renderer import HeadRenderer

EYES = (RIGHT_EYE, LEFT_EYE)


@pytest.fixture(scope="module")
def face(reenactor, mona):
    return reenactor.detectors[0].detect(mona)[0]


def closed(face, share):
    """The face with its eyes so far open, of what they are."""
    points = face.points.copy()
    for eye in EYES:
        p = points[eye]
        for upper, lower in ((1, 5), (2, 4)):
            gap = p[lower] - p[upper]
            p[upper] += 0.85 * (1 - share) * gap
            p[lower] -= 0.15 * (1 - share) * gap
    return type(face)(points, face.depth, face.confidence, face.surface)


def with_lids_of(frame, open_face, face):
    return close_eyelids(frame, open_face, closed_shares(open_face, face))


def test_eyes_are_raised_to_what_is_asked_and_never_lowered(face):
    wide = eye_aspect_ratios(face, face)
    narrow = closed(face, 0.3)
    np.testing.assert_allclose(eye_aspect_ratios(narrow, narrow), 0.3 * wide, rtol=0.05)
    np.testing.assert_allclose(eye_aspect_ratios(*[open_eyelids(narrow, wide)] * 2), wide, rtol=1e-3)
    np.testing.assert_array_equal(open_eyelids(face, 0.5 * wide).points, face.points)
    untouched = [i for i in range(70) if i not in (37, 38, 40, 41, 43, 44, 46, 47)]
    np.testing.assert_array_equal(open_eyelids(narrow, wide).points[untouched], narrow.points[untouched])
    np.testing.assert_allclose(open_eyelids(narrow, wide).points, face.points, atol=2)


def painted_eyes(face, size):
    """Skin with eyes of one color, and lashes along the upper lid."""
    picture = np.full((*size, 3), (200, 150, 130), np.uint8)
    for eye in EYES:
        middle = face.points[eye].mean(0)
        ball = ((face.points[eye] - middle) * 0.7 + middle) * 16
        cv2.polylines(picture, [(face.points[eye][:4] * 16).astype(np.int32)], False, (30, 20, 20), 2, cv2.LINE_AA, 4)
        cv2.fillPoly(picture, [ball.astype(np.int32)], (20, 60, 220), cv2.LINE_AA, 4)
    return picture


def test_a_shut_eye_shows_skin_and_lashes_and_nothing_of_itself(face, mona):
    picture = painted_eyes(face, mona.shape[:2])
    blue = (picture.astype(int) @ [-1, -1, 1]).clip(0)
    shut = with_lids_of(picture, face, closed(face, 0.05))
    left = (shut.astype(int) @ [-1, -1, 1]).clip(0)
    assert left.sum() < 0.1 * blue.sum()
    dark = (shut.sum(2) < 250).sum() / (picture.sum(2) < 250).sum()
    assert dark > 0.3  # the lashes have come along


def test_a_low_and_bushy_brow_is_not_pulled_over_a_shut_eye(face, mona):
    picture = np.full_like(mona, (200, 150, 130))
    for eye, brow in EYES_AND_BROWS:
        low = 0.65 * face.points[brow] + 0.35 * face.points[eye].mean(0)  # its lower edge
        outline = np.concatenate([face.points[brow], low[::-1]])
        cv2.fillPoly(picture, [outline.round().astype(np.int32)], (60, 40, 30))
    shut = with_lids_of(picture, face, closed(face, 0))
    dark = [each.sum(2) < 300 for each in (picture, shut)]
    assert (dark[1] & ~dark[0]).sum() < 0.15 * dark[0].sum()


def test_a_half_shut_eye_covers_half_and_moves_nothing_that_is_still_seen(face, mona):
    picture = painted_eyes(face, mona.shape[:2])
    half = with_lids_of(picture, face, closed(face, 0.5))
    before, after = ((each.astype(int) @ [-1, -1, 1]) > 100 for each in (picture, half))
    assert 0.3 < after.sum() / before.sum() < 0.8 and not (after & ~before).any()


def test_open_eyes_and_all_beside_lids_stay_to_the_bit(face, mona):
    np.testing.assert_array_equal(with_lids_of(mona, face, face), mona)
    np.testing.assert_array_equal(with_lids_of(mona, face, open_eyelids(face, 2 * eye_aspect_ratios(face, face))), mona)
    changed = (with_lids_of(mona, face, closed(face, 0)) != mona).any(2)
    y, x = np.nonzero(changed)
    points = face.points[17:48]
    assert points[:, 0].min() <= x.min() and x.max() <= points[:, 0].max()
    assert face.points[17:27, 1].min() <= y.min() and y.max() < face.points[33, 1]


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
def test_eyes_that_are_cut_by_an_edge_close_as_far_as_they_are_seen(face, mona, edge):
    picture = painted_eyes(face, mona.shape[:2])
    whole = with_lids_of(picture, face, closed(face, 0))
    x, y = face.points[RIGHT_EYE].mean(0).round().astype(int)
    kept = {"left": np.s_[:, x:], "right": np.s_[:, :x], "top": np.s_[y:], "bottom": np.s_[:y]}[edge]
    corner = np.float32([x if edge == "left" else 0, y if edge == "top" else 0])
    moved = face.moved(corner)
    part = with_lids_of(np.ascontiguousarray(picture[kept]), moved, closed(moved, 0)).astype(int)
    assert part.shape == picture[kept].shape and (part != picture[kept]).any()
    away = np.abs(part - whole[kept]).max(2)  # skin from beyond the edge is not to be had, all else is
    assert (away > 2).mean() < 0.01


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_eyes_outside_of_the_frame_or_too_small_change_nothing(face, mona, scale):
    moved = face.moved(np.float32([-1e4, 0]), scale)
    np.testing.assert_array_equal(with_lids_of(mona, moved, closed(moved, 0)), mona)


def test_eyes_of_a_profile_are_left_alone(face, mona):
    for flat in (0.0, -0.5):  # no width; corners swapped
        points = face.points.copy()
        middle = points[RIGHT_EYE, 0].mean()
        points[RIGHT_EYE, 0] = middle + flat * (points[RIGHT_EYE, 0] - middle)
        profile = type(face)(points, face.depth, face.confidence, face.surface)
        wide = open_eyelids(profile, np.array([0.4, 0.0]))
        np.testing.assert_array_equal(with_lids_of(mona, wide, profile), mona)


def test_a_turn_or_a_nod_is_no_blink(face):
    """The eyes of a rigid head are as far open in any pose."""
    for angles in ([0, 0, 0], [0.45, 0, 0], [0, 0.5, 0], [-0.3, -0.3, 0.2]):
        turned = rotate_3d(face, np.array(angles))
        np.testing.assert_allclose(eye_aspect_ratios(face, turned), eye_aspect_ratios(turned, turned), rtol=0.02)
        np.testing.assert_allclose(
            open_eyelids(turned, eye_aspect_ratios(face, turned)).points, turned.points, atol=0.1
        )


def test_a_painter_shuts_eyes_that_it_has_seen_open(reenactor, mona):
    head = reenactor.embed([mona])
    painter = HeadRenderer(head, reenactor.generator, reenactor.size)
    seat = head.landmarks[0]
    awake, asleep = painter.render([seat, closed(seat, 0.1)])
    now, then = (reenactor.detectors[0].detect(each)[0] for each in (asleep, awake))
    assert (eye_aspect_ratios(now, now) < 0.5 * eye_aspect_ratios(then, then)).all()
    for x, y in (seat.points[eye].mean(0).astype(int) for eye in EYES):  # the iris, darkest of all, is under the lid
        assert asleep[y - 1 : y + 2, x - 2 : x + 3].mean() > awake[y - 1 : y + 2, x - 2 : x + 3].mean() + 5


def test_a_lid_that_comes_down_is_painted_as_skin_with_lashes_at_its_edge(reenactor, mona):
    head = reenactor.embed([mona])
    seat = head.landmarks[0]
    asleep = closed(seat, 0)
    painted, warped = (
        HeadRenderer(head, reenactor.generator, reenactor.size, inpainters).render([asleep])[0].astype(float)
        for inpainters in (reenactor.inpainters, None)
    )
    changed = np.abs(painted - warped).max(2) > 8
    for lid in EYELIDS:
        box = lid.crop_box(asleep)
        rows, columns = (slice(round(start), round(start + box.side)) for start in (box.top, box.left))
        assert changed[rows, columns].mean() > 0.02
        changed[rows, columns] = False
        upper = asleep.points[lid.outline][[1, 2]].mean(0)
        x, y = upper.astype(int)
        edge, skin = (painted[y + d - 1 : y + d + 2, x - 2 : x + 3].mean() for d in (1, -6))
        cheek = painted[y + 22 : y + 27, x - 2 : x + 3].mean()
        assert edge < 0.85 * skin and 0.6 * cheek < skin < 1.1 * cheek
    assert not changed.any()


def test_lids_that_a_detector_lets_cross_are_shut(face, mona):
    crossed = closed(face, -0.1)
    assert (eye_aspect_ratios(crossed, crossed) < 0).all()
    np.testing.assert_array_equal(with_lids_of(mona, face, crossed), with_lids_of(mona, face, closed(face, 0)))
