"""Eyes close by lids that come down, not by being squeezed."""

import numpy as np
import pytest

from fewshot_heads.landmarks import LEFT_EYE, RIGHT_EYE
from fewshot_heads.lids import lowered, openings, raised
from fewshot_heads.painter import Painter

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


def test_eyes_are_raised_to_what_is_asked_and_never_lowered(face):
    wide = openings(face)
    narrow = closed(face, 0.3)
    np.testing.assert_allclose(openings(narrow), 0.3 * wide, rtol=0.05)
    np.testing.assert_allclose(openings(raised(narrow, wide)), wide, rtol=1e-3)
    np.testing.assert_array_equal(raised(face, 0.5 * wide).points, face.points)
    untouched = [i for i in range(70) if i not in (37, 38, 40, 41, 43, 44, 46, 47)]
    np.testing.assert_array_equal(raised(narrow, wide).points[untouched], narrow.points[untouched])
    np.testing.assert_allclose(raised(narrow, wide).points, face.points, atol=2)


def painted_eyes(face, size):
    """Skin with eyes of one colour, and lashes along the upper lid."""
    import cv2

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
    shut = lowered(picture, face, closed(face, 0.05))
    left = (shut.astype(int) @ [-1, -1, 1]).clip(0)
    assert left.sum() < 0.1 * blue.sum()
    dark = (shut.sum(2) < 250).sum() / (picture.sum(2) < 250).sum()
    assert dark > 0.3  # the lashes have come along


def test_a_half_shut_eye_covers_half_and_moves_nothing_that_is_still_seen(face, mona):
    picture = painted_eyes(face, mona.shape[:2])
    half = lowered(picture, face, closed(face, 0.5))
    before, after = ((each.astype(int) @ [-1, -1, 1]) > 100 for each in (picture, half))
    assert 0.3 < after.sum() / before.sum() < 0.8 and not (after & ~before).any()


def test_open_eyes_and_all_beside_lids_stay_to_the_bit(face, mona):
    np.testing.assert_array_equal(lowered(mona, face, face), mona)
    np.testing.assert_array_equal(lowered(mona, face, raised(face, 2 * openings(face))), mona)
    changed = (lowered(mona, face, closed(face, 0)) != mona).any(2)
    y, x = np.nonzero(changed)
    points = face.points[17:48]
    assert points[:, 0].min() <= x.min() and x.max() <= points[:, 0].max()
    assert face.points[17:27, 1].min() <= y.min() and y.max() < face.points[33, 1]


@pytest.mark.parametrize("move", [(-1e4, 0), (60, 0), (0, 110)])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_eyes_at_the_edge_outside_of_the_frame_or_too_small_do_no_harm(face, mona, move, scale):
    moved = face.moved(np.float32(move), scale)
    assert lowered(mona, moved, closed(moved, 0)).shape == mona.shape


def test_a_profile_has_an_eye_of_no_width(face, mona):
    points = face.points.copy()
    points[RIGHT_EYE, 0] = points[RIGHT_EYE, 0].mean()
    flat = type(face)(points, face.depth, face.confidence, face.surface)
    assert np.isfinite(openings(flat)).all()
    result = lowered(mona, raised(flat, openings(face)), flat)
    assert result.shape == mona.shape


def test_a_painter_shuts_eyes_that_it_has_seen_open(reenactor, mona):
    head = reenactor.embed([mona])
    painter = Painter(head, reenactor.networks.generator, reenactor.size, reenactor.device)
    seat = head.landmarks[0]
    awake, asleep = painter.paint([seat, closed(seat, 0.1)], large=False)
    seen = reenactor.detectors[0].detect(asleep)
    assert (openings(seen[0]) < 0.5 * openings(reenactor.detectors[0].detect(awake)[0])).all()
    eyes = np.concatenate([seat.points[eye] for eye in EYES]).round().astype(int)
    for x, y in ((eyes[:6].mean(0)).astype(int), (eyes[6:].mean(0)).astype(int)):
        # The iris, darkest of all, is under the lid.
        assert asleep[y - 1 : y + 2, x - 2 : x + 3].mean() > awake[y - 1 : y + 2, x - 2 : x + 3].mean() + 5
