"""Images joined into one."""

import numpy as np

from fewshot_heads.imaging.grid import image_grid


def plain(level, width=2):
    return np.full((3, width, 3), level, np.uint8)


def test_image_grid__rows_go_down_and_images_to_the_right():
    grid = image_grid([[plain(1), plain(2)], [plain(3), plain(4)]])
    assert grid.shape == (6, 4, 3) and grid.dtype == np.uint8
    assert grid[::3, ::2, 0].tolist() == [[1, 2], [3, 4]]


def test_image_grid__a_short_row_is_filled_with_black():
    grid = image_grid([[plain(1), plain(2), plain(3)], [plain(4)]])
    assert grid[3:, :2].min() == 4 and grid[3:, 2:].max() == 0


def test_image_grid__rows_may_differ_in_height_and_width():
    assert image_grid([[plain(1, 5)], (plain(2) for _ in range(2))]).shape == (6, 5, 3)
