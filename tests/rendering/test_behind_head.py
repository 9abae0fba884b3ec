"""The body under a moving head."""

import numpy as np
import pytest

from fewshot_heads.landmarks.pose import NECK, NECK_TOP, fit_pose
from fewshot_heads.rendering.behind_head import BehindHead, shown_body
from tests.rendering.test_hanging import turned_about_the_neck
from tests.rendering.test_head_surface import SIZE, measured_face


@pytest.fixture
def behind():
    """A black background, before which a white column stands in the middle."""
    body = np.full((4, SIZE, SIZE), -1, np.float32)
    middle = slice(SIZE // 2 - 10, SIZE // 2 + 10)
    body[:3, :, middle], body[3], body[3, :, middle] = 1.0, 0.0, 1.0
    return BehindHead(body, np.full((3, SIZE, SIZE), -1, np.float32), continues=True)


def column(frame, row):
    """The middle of the white column in a row."""
    return float(np.flatnonzero(frame[0, 0, round(row)] > 0).mean())


def test_a_body_under_a_still_head_stands_still(behind):
    face = measured_face()
    np.testing.assert_array_equal(behind.follow([face], [face], SIZE), behind.still)


def test_a_neck_leans_with_the_skull_softly_from_the_shoulders_on(behind):
    source = measured_face()
    target = turned_about_the_neck(source, (0, 0, 0.4))
    frame = behind.follow([source], [target], SIZE)
    before, after = fit_pose(source), fit_pose(target)
    base = before.apply(NECK)[0]
    above = [0, NECK_TOP[0, 1] - NECK[0, 1], 0]
    top = before.apply(NECK + above)[0]
    shift = after.apply(NECK + above)[0, 0] - top[0]
    assert abs(shift) > 5
    still = SIZE / 2 - 0.5
    assert column(frame, top[1]) - still == pytest.approx(shift, abs=1)
    start = base[1] + 0.5 * (base[1] - top[1])
    assert column(frame, (top[1] + start) / 2) - still == pytest.approx(shift / 2, abs=1)
    assert column(frame, start + 2) == pytest.approx(still, abs=0.6)
    shifts = np.array([column(frame, row) for row in np.linspace(start, top[1], 9)]) - still
    steps = np.abs(np.diff(shifts))
    assert steps[[0, -1]].max() < 0.5 * steps[4]


def test_a_neck_stays_upright_while_the_head_turns_on_it(behind):
    source = measured_face()
    target = turned_about_the_neck(source, (0, 0.6, 0))
    np.testing.assert_allclose(behind.follow([source], [target], SIZE), behind.still, atol=1e-6)


def test_a_body_that_comes_in_from_the_side_has_no_streaks():
    """Its outline goes straight on, and its colors are the mirror image of those at the edge."""
    stripes = np.broadcast_to(np.float32(np.arange(SIZE) % 8 < 4), (3, SIZE, SIZE))
    shoulders = np.zeros((1, SIZE, SIZE), np.float32)
    shoulders[:, SIZE // 2 :] = 1.0
    source = measured_face()
    target = source.moved(np.array([-30, 0], np.float32))  # to the right
    wall = np.full((3, SIZE, SIZE), -1, np.float32)
    frame = BehindHead(np.concatenate([stripes, shoulders]), wall).follow([source], [target], SIZE)
    low = frame[0, 0, SIZE // 2 + 4, :16]
    assert low.min() < 0.3 and low.max() > 0.7
    assert frame[0, 0, SIZE // 2 - 4, :16].max() == -1


def test_a_wall_that_the_image_shows_gives_way_to_a_guessed_neck_as_the_head_turns():
    body, wall, head = (np.zeros((channels, SIZE, SIZE), np.float32) for channels in (4, 3, 4))
    body[3], body[0], wall[2] = 1.0, 1.0, 1.0
    head[3, :, : SIZE // 2] = 0.5
    image = body[:3].copy()
    image[:, :20] = wall[:, :20]
    image = image + head[3:] * (head[:3] - image)
    shown = shown_body(image, head, body, wall)
    np.testing.assert_allclose(shown[3], np.broadcast_to(np.arange(SIZE)[:, None] >= 20, (SIZE, SIZE)), atol=1e-6)
    behind, source = BehindHead(body, wall, shown=shown), measured_face()
    red = [
        float(behind.follow([source], [turned_about_the_neck(source, (0, turn, 0))], SIZE)[0, 0, 10].mean())
        for turn in (0, 0.04, 0.12, 0.3)
    ]
    assert red[0] == red[1] == 0 < red[2] < red[3] == 1


def test_a_neck_shows_its_own_shadow_until_the_head_turns():
    body, wall, head = (np.zeros((channels, SIZE, SIZE), np.float32) for channels in (4, 3, 4))
    body[3], body[0], wall[2] = 1.0, 1.0, 1.0
    image = body[:3].copy()
    image[0, :20] = 0.4
    behind, source = BehindHead(body, wall, shown=shown_body(image, head, body, wall)), measured_face()
    np.testing.assert_allclose(behind.still[0], image, atol=1e-6)
    turned = behind.follow([source], [turned_about_the_neck(source, (0, 0.3, 0))], SIZE)[0]
    np.testing.assert_allclose(turned[:, 10], body[:3, 10], atol=1e-6)


def test_a_neck_shows_its_own_silhouette_until_the_head_turns():
    body, wall, head = (np.zeros((channels, SIZE, SIZE), np.float32) for channels in (4, 3, 4))
    body[3, :, :100], body[0], wall[2] = 1.0, 1.0, 1.0
    image = np.where(body[3:] > 0, body[:3], wall)
    image[:, :, 100] = body[:3, :, 100]  # the neck is wider than the one that is guessed
    behind, source = BehindHead(body, wall, shown=shown_body(image, head, body, wall)), measured_face()
    np.testing.assert_allclose(behind.still[0], image, atol=1e-6)
    turned = behind.follow([source], [turned_about_the_neck(source, (0, 0.3, 0))], SIZE)[0]
    np.testing.assert_allclose(turned[:, -1, 100], wall[:, -1, 100], atol=1e-6)
