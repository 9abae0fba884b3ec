from dataclasses import replace

import numpy as np
import pytest

from fewshot_heads.imaging.masks import disocclusion_mask
from fewshot_heads.landmarks import LEFT_EYE, RIGHT_EYE
from fewshot_heads.landmarks.aspect_ratio import disocclusion_amount
from fewshot_heads.landmarks.stickman import draw_stickman
from tests.faces import face


@pytest.mark.parametrize("size", [64, 256, 512])
def test_it_is_drawn_at_any_size_and_anti_aliased(size):
    drawn = draw_stickman(face().points, size, scale=size / 256)
    assert drawn.shape == (size, size, 3) and drawn.dtype == np.uint8
    assert ((drawn > 0) & (drawn < 100)).any(), "no soft edge"
    rows, columns = np.nonzero(drawn.any(2))
    expected = face().box * size / 256
    np.testing.assert_allclose([columns.min(), rows.min(), columns.max(), rows.max()], expected, atol=0.02 * size + 1)


def test_a_shift_below_a_pixel_is_seen():
    points = face().points
    assert (draw_stickman(points, 128, 0.5) != draw_stickman(points + 0.5, 128, 0.5)).any()


def test_inner_lips_and_irises_are_there():
    open_mouth, closed = draw_stickman(face(mouth=0.3).points, 256), draw_stickman(face().points, 256)
    inner_color = (128, 255, 255)
    assert (open_mouth == inner_color).all(2).any()
    assert (open_mouth != closed).any()
    x, y = face().points[68].astype(int)
    assert tuple(closed[y, x]) == (255, 255, 0)


def test_a_missing_point_leaves_its_line_out():
    points = face().points.copy()
    points[0:17] = np.nan
    drawn = draw_stickman(points, 256)
    assert drawn.any() and not (drawn == (255, 0, 0)).all(2).any()


def opened(source, driver):
    return disocclusion_mask(driver, disocclusion_amount(source, driver), 256)


def test_a_mouth_that_opens_is_marked_and_one_that_was_open_is_not():
    shut, open_mouth = face(), face(mouth=0.3)
    mask = opened(shut, open_mouth)
    x, y = open_mouth.points[60:68].mean(0).astype(int)
    assert mask[y, x] == 1 and mask[: y - 40].max() == 0
    assert opened(open_mouth, open_mouth).max() == 0
    assert opened(open_mouth, shut).max() == 0


@pytest.mark.parametrize("depth", [True, False])
@pytest.mark.parametrize("yaw", [-0.9, 0.9])
def test_a_turn_is_no_opening_of_the_far_eye(yaw, depth):
    assert opened(face(mouth=0.1, depth=depth), face((0, yaw, 0), mouth=0.1, depth=depth)).max() == 0
    assert opened(face(depth=depth), face((0, yaw, 0), mouth=0.3, depth=depth)).max() > 0.9


def test_only_a_shut_eye_has_to_be_painted_when_it_opens():
    def eyes(height):
        points = face().points.copy()
        for part in (RIGHT_EYE, LEFT_EYE):
            middle = points[part].mean(0)
            points[part, 1] = middle[1] + height * (points[part, 1] - middle[1])
        return replace(face(), points=points)

    wide_open, open_eyes, shut = eyes(2.0), eyes(1.0), eyes(0.1)
    assert opened(shut, open_eyes).max() > 0.9
    assert opened(open_eyes, wide_open).max() == 0
