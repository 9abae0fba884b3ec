"""Forward splatting with a z-buffer: moved points become a backward flow.

Points are spread bilinearly over the cells of a map. In each cell only the nearest surface counts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_MIN_OPAQUE_WEIGHT = 0.25  # a point of less weight, such as a wisp of hair, hides nothing
_CLOSED_HOLE_CELLS = 5  # a gap between points that is narrower is closed
_MIN_WEIGHT_SUM = 1e-9


class Splat(NamedTuple):
    """Points on a map of s x s cells.

    Attributes:
        values: [B, C, s, s], the mean of the nearest points. A gap has the mean of its surroundings.
        coverage: [B, 1, s, s], 0 to 1, how densely points fill a cell.
    """

    values: Tensor
    coverage: Tensor


def splat(
    points: Tensor, values: Tensor, weights: Tensor, size: int, tolerance: Tensor, points_per_cell: float = 1.0
) -> Splat:
    """Returns the values of the nearest points in each cell.

    Args:
        points: [B, N, 3]: x and y, -1 to 1 over the map, and a depth that grows away from the viewer.
        values: [B, N, C].
        weights: [B, N], 0 to 1, share of a point in the mean. A point of weight 0 is left out.
        size: side s of the map, cells.
        tolerance: [B], depth over which points in one cell belong to one surface.
        points_per_cell: density of the points that counts as full coverage.
    """
    batch, count = weights.shape
    cells, shares = _bilinear_cells(points[..., :2], size)  # [B, 4, N] each
    first_cells = torch.arange(batch, device=cells.device) * size * size
    cells = (cells + first_cells[:, None, None]).flatten()  # of one map for the whole batch
    depth, weight = (x[:, None].expand(-1, 4, -1).flatten() for x in (points[..., 2], weights))
    shares = shares.flatten() * (weight > 0)
    opaque_depth = torch.where((weight > _MIN_OPAQUE_WEIGHT) & (shares > 0), depth, torch.inf)
    nearest = depth.new_full((batch * size * size,), torch.inf).scatter_reduce(0, cells, opaque_depth, "amin")
    tolerances = tolerance[:, None].expand(-1, 4 * count).flatten()
    shares = shares * (depth <= nearest[cells] + tolerances)
    weighted = shares * weight
    columns = values[:, None].expand(-1, 4, -1, -1).flatten(0, 2) * weighted[:, None]
    columns = torch.cat([columns, weighted[:, None], shares[:, None] / points_per_cell], 1)
    sums = values.new_zeros(batch * size * size, columns.shape[1]).index_add_(0, cells, columns)
    maps = sums.view(batch, size, size, -1).permute(0, 3, 1, 2)
    return _close_gaps(maps[:, :-2] / maps[:, -2:-1].clamp_min(_MIN_WEIGHT_SUM), maps[:, -1:].clamp(max=1))


def _bilinear_cells(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Returns the four cells around each position, and the position's share in each.

    Args:
        positions: [B, N, 2], -1 to 1.
        size: side of the map, cells.

    Returns:
        Indices [B, 4, N] of the flat map, and shares [B, 4, N], 0 to 1. Cells outside the map have the share 0.
    """
    x, y = ((positions + 1) * (size / 2) - 0.5).unbind(-1)
    left, top = x.floor(), y.floor()
    right_share, bottom_share = x - left, y - top
    cells, shares = [], []
    for down in (0, 1):
        for right in (0, 1):
            column, row = left + right, top + down
            share = (right_share if right else 1 - right_share) * (bottom_share if down else 1 - bottom_share)
            inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
            cells.append((row.clamp(0, size - 1) * size + column.clamp(0, size - 1)).long())
            shares.append(share * inside)
    return torch.stack(cells, 1), torch.stack(shares, 1)


def _close_gaps(means: Tensor, coverage: Tensor) -> Splat:
    """Returns maps without narrow gaps.

    Args:
        means: [B, C, s, s], defined where the coverage is above 0.
        coverage: [B, 1, s, s], 0 to 1.
    """
    reach = _CLOSED_HOLE_CELLS // 2
    dilated = F.max_pool2d(F.pad(coverage, [reach] * 4), _CLOSED_HOLE_CELLS, 1, reach)
    closed = -F.max_pool2d(-dilated, _CLOSED_HOLE_CELLS, 1)  # outside the map there is nothing
    own = torch.cat([means, torch.ones_like(coverage)], 1) * coverage
    around = F.avg_pool2d(F.avg_pool2d(own, 3, 1, 1), 3, 1, 1)
    mixed = own + (1 - coverage) * around
    total = mixed[:, -1:]
    return Splat(mixed[:, :-1] / total.clamp_min(_MIN_WEIGHT_SUM), torch.maximum(coverage, closed) * (total > 0))
