"""Forward splatting with a z-buffer: moved points become a backward flow.

Points are spread bilinearly over the cells of a map. In each cell only the nearest surface counts.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

_MIN_OPAQUE_WEIGHT = 0.25  # a point of less weight, such as a wisp of hair, hides nothing
_CLOSED_HOLE_CELLS = 5  # a gap between points that is narrower is closed
_MIN_WEIGHT_SUM = 1e-9


class Splat(NamedTuple):
    """Points on a map of s x s cells.

    Attributes:
        values: float32 [s, s, C], the mean of the nearest points. A gap has the mean of its surroundings.
        coverage: float32 [s, s], 0 to 1, how densely points fill a cell.
    """

    values: np.ndarray
    coverage: np.ndarray


def splat(
    points: np.ndarray, values: np.ndarray, weights: np.ndarray, size: int, tolerance: float,
    points_per_cell: float = 1.0,
) -> Splat:  # fmt: skip
    """Returns the values of the nearest points in each cell.

    Args:
        points: float32 [N, 3]: x and y, -1 to 1 over the map, and a depth that grows away from the viewer.
        values: float32 [N, C], up to 3 of them.
        weights: float32 [N], 0 to 1, share of a point in the mean. A point of weight 0 is left out.
        size: side s of the map, cells.
        tolerance: depth over which points in one cell belong to one surface.
        points_per_cell: density of the points that counts as full coverage.
    """
    x, y = ((points[:, :2] + 1) * np.float32(size / 2) - np.float32(0.5)).T
    kept = np.flatnonzero((x >= -1) & (x < size) & (y >= -1) & (y < size) & (weights > 0))
    kept = kept[(-points[kept, 2]).argsort()]  # the nearest point comes last
    depth, weights = points[kept, 2], weights[kept]
    cells, shares = _bilinear_cells(x[kept], y[kept], size)  # [4, N] each
    side = size + 2  # with a border, which takes the shares outside the map
    nearest = np.full(side * side, np.inf, np.float32)
    hiding = np.where((weights > _MIN_OPAQUE_WEIGHT) & (shares > 0), cells, 0)  # cell 0 is in the border
    # Of depths in one cell the last one stays. This takes a third of the time of np.minimum.at.
    nearest[hiding.T.ravel()] = depth.repeat(len(hiding))
    shares *= depth <= nearest[cells] + np.float32(tolerance)
    columns = np.stack([*(values[kept].T * weights), weights, np.full_like(weights, 1 / points_per_cell)])
    added = columns[:, None] * shares
    sums = np.zeros((len(added), side * side), np.float32)
    for total, each in zip(sums, added, strict=True):
        np.add.at(total, cells.ravel(), each.ravel())  # np.bincount takes twice as long
    maps = sums.reshape(-1, side, side)[:, 1:-1, 1:-1]
    return _close_gaps(maps[:-2] / np.maximum(maps[-2], _MIN_WEIGHT_SUM), np.minimum(maps[-1], 1))


def _bilinear_cells(x: np.ndarray, y: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the four cells around each position, and the position's share in each.

    Args:
        x: [N], cells from the first cell's center, -1 to `size`.
        y: [N], like x.
        size: side of the map, cells.

    Returns:
        Indices [4, N] of the flat map with a border of one cell, and shares float32 [4, N], 0 to 1.
    """
    column, row, side = np.floor(x), np.floor(y), size + 2
    right, down = x - column, y - row
    left, up = 1 - right, 1 - down
    cells = ((row + 1) * side + column + 1).astype(np.int64) + np.array([[0], [1], [side], [side + 1]])
    return cells, np.stack([left * up, right * up, left * down, right * down])


def _close_gaps(means: np.ndarray, coverage: np.ndarray) -> Splat:
    """Returns maps without narrow gaps.

    Args:
        means: [C, s, s], defined where the coverage is above 0.
        coverage: [s, s], 0 to 1.
    """
    reach, square = _CLOSED_HOLE_CELLS // 2, np.ones((_CLOSED_HOLE_CELLS, _CLOSED_HOLE_CELLS))
    padded = np.pad(coverage, reach)  # outside the map there is nothing
    closed = cv2.erode(cv2.dilate(padded, square), square)[reach:-reach, reach:-reach]
    own = [*(means * coverage), coverage]
    around = cv2.split(_blurred(_blurred(cv2.merge(own))))  # up to four channels at once
    gap = 1 - coverage
    mixed = [a + gap * b for a, b in zip(own, around, strict=True)]
    total = mixed[-1]
    full = np.maximum(coverage, closed) * (total > 0)
    filled = cv2.merge([each / np.maximum(total, _MIN_WEIGHT_SUM) for each in mixed[:-1]])
    return Splat(filled.reshape(*coverage.shape, -1), full)


def box_mean(plane: np.ndarray) -> np.ndarray:
    """Returns a map [s, s] averaged over 3 x 3 cells; cells outside the map do not count."""
    return _blurred(plane) * _counted(len(plane))


@cache
def _counted(size: int) -> np.ndarray:
    """Returns 9 over the number of cells in the 3 x 3 around each cell that lie in the map, [size, size]."""
    return 1 / _blurred(np.ones((size, size), np.float32))


def _blurred(maps: np.ndarray) -> np.ndarray:
    """Returns the mean over 3 x 3 cells of a map [s, s] or maps [s, s, C]; outside the map there are zeros."""
    return cv2.blur(maps, (3, 3), borderType=cv2.BORDER_CONSTANT)
