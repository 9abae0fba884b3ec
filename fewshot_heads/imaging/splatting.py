"""Forward splatting with a z-buffer: moved points become a backward flow.

Points are spread bilinearly over the cells of a map. In each cell only the nearest surface counts.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

_MIN_OPAQUE_WEIGHT = 0.25  # a point of less weight, such as a wisp of hair, hides nothing
_CLOSED_HOLE_CELLS = 5  # a gap between points that is narrower is closed
_MIN_WEIGHT_SUM = 1e-9


class Splat(NamedTuple):
    """Points on a map of s x s cells.

    Attributes:
        values: [s, s, C], the mean of the nearest points. A gap has the mean of its surroundings.
        coverage: [s, s], 0 to 1, how densely points fill a cell.
    """

    values: Tensor
    coverage: Tensor


def splat(
    points: Tensor, values: Tensor, weights: Tensor, size: int, tolerance: float, points_per_cell: float = 1.0
) -> Splat:
    """Returns the values of the nearest points in each cell.

    Args:
        points: [N, 3]: x and y, -1 to 1 over the map, and a depth that grows away from the viewer.
        values: [N, C], up to 3 of them.
        weights: [N], 0 to 1, share of a point in the mean. A point of weight 0 is left out.
        size: side s of the map, cells.
        tolerance: depth over which points in one cell belong to one surface.
        points_per_cell: density of the points that counts as full coverage.
    """
    corners = (points[:, :2] + 1) * (size / 2) - 0.5
    kept = (((corners >= -1) & (corners < size)).all(1) & (weights > 0)).nonzero()[:, 0]
    kept = kept[torch.from_numpy((-points[kept, 2]).numpy().argsort())]  # the nearest point comes last
    corners, depth, values, weights = corners[kept], points[kept, 2], values[kept], weights[kept]
    cells, shares = _bilinear_cells(corners, size)  # [4, N] each
    side = size + 2  # with a border, which takes the shares outside the map
    nearest = np.full(side * side, np.inf, np.float32)
    hiding = torch.where((weights > _MIN_OPAQUE_WEIGHT) & (shares > 0), cells, 0)  # cell 0 is in the border
    # Of depths in one cell the last one stays. This takes a third of the time of np.minimum.at.
    nearest[hiding.T.flatten().numpy()] = depth.repeat_interleave(len(hiding)).numpy()
    shares = shares * (depth <= torch.from_numpy(nearest)[cells] + tolerance)
    # Channels come first: arrays whose last side is 3 or 4 take torch five times as long.
    columns = torch.cat([values.T * weights, weights[None], torch.full_like(weights, 1 / points_per_cell)[None]])
    sums = values.new_zeros(len(columns), side * side)
    sums.scatter_add_(1, cells.flatten().expand(len(columns), -1), (shares * columns[:, None]).flatten(1))
    maps = sums.view(-1, side, side)[:, 1:-1, 1:-1]
    return _close_gaps(maps[:-2] / maps[-2].clamp_min(_MIN_WEIGHT_SUM), maps[-1].clamp(max=1))


def _bilinear_cells(corners: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Returns the four cells around each position, and the position's share in each.

    Args:
        corners: [N, 2], cells from the first cell's center, -1 to `size`.
        size: side of the map, cells.

    Returns:
        Indices [4, N] of the flat map with a border of one cell, and shares [4, N], 0 to 1.
    """
    first = corners.floor()
    (right, down), side = (corners - first).unbind(1), size + 2
    x, y = first.long().unbind(1)
    left, up = 1 - right, 1 - down
    offsets = torch.tensor([0, 1, side, side + 1])[:, None]
    return (y + 1) * side + x + 1 + offsets, torch.stack([left * up, right * up, left * down, right * down])


def _close_gaps(means: Tensor, coverage: Tensor) -> Splat:
    """Returns maps without narrow gaps.

    OpenCV's filters take a tenth of the time of torch's poolings on a CPU.

    Args:
        means: [C, s, s], defined where the coverage is above 0.
        coverage: [s, s], 0 to 1.
    """
    reach, square = _CLOSED_HOLE_CELLS // 2, np.ones((_CLOSED_HOLE_CELLS, _CLOSED_HOLE_CELLS))
    padded = np.pad(coverage.numpy(), reach)  # outside the map there is nothing
    closed = cv2.erode(cv2.dilate(padded, square), square)[reach:-reach, reach:-reach]
    own = torch.cat([means * coverage, coverage[None]])
    around = np.stack([_blurred(_blurred(plane)) for plane in own.numpy()])
    mixed = own + (1 - coverage) * torch.from_numpy(around)
    total = mixed[-1]
    full = torch.maximum(coverage, torch.from_numpy(closed)) * (total > 0)
    return Splat((mixed[:-1] / total.clamp_min(_MIN_WEIGHT_SUM)).movedim(0, -1), full)


def box_mean(maps: Tensor) -> Tensor:
    """Returns maps [C, s, s] averaged over 3 x 3 cells; cells outside the map do not count."""
    counted = _blurred(np.ones(maps.shape[1:], np.float32))
    means = [_blurred(each) / counted for each in maps.numpy()]
    return torch.from_numpy(np.stack(means))


def _blurred(plane: np.ndarray) -> np.ndarray:
    """Returns the mean over 3 x 3 cells; outside the map there are zeros."""
    return cv2.blur(plane, (3, 3), borderType=cv2.BORDER_CONSTANT)
