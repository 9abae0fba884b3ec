"""Thin-plate-spline flows from landmarks, and image sampling along a flow.

Bookstein, "Principal Warps", PAMI 1989. Coordinates are x and y from -1 to 1 over the crop, as in
`torch.nn.functional.grid_sample(align_corners=False)`. A flow holds absolute positions in the source image.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging import opencv_maps

BORDER = 12  # fixed points on the crop's border, which keep the background in place
_STIFFNESS = 1e-3  # ridge on the bending part: landmarks that nearly coincide (closed lips) must not fold the plane
REACH = 2.0  # distance of the border points from the crop's center, in half crops
_MIN_POINT_WEIGHT = 1e-8  # a point of this weight has no influence on the spline
_CHUNK_POSITIONS = 512  # grid positions evaluated at once, so that the arrays stay in the CPU cache
FLOW_SIZE = 64  # side of the grid that the spline is evaluated on; a smooth flow can be interpolated


def normalize_points(points: Tensor, size: int) -> Tensor:
    """Returns points in coordinates from -1 to 1.

    Args:
        points: [..., 2], pixels of the crop.
        size: side of the crop, pixels.
    """
    return points * (2.0 / size) - 1.0


def border_points(like: Tensor) -> Tensor:
    """Returns points along the border of the crop, [BORDER, 2], -1 to 1.

    Args:
        like: a tensor of the wanted type and device.
    """
    t = torch.linspace(-1, 1, BORDER // 4 + 1, dtype=like.dtype, device=like.device)[:-1]
    one = torch.ones_like(t)
    sides = [(t, -one), (one, t), (-t, one), (-one, -t)]
    return torch.cat([torch.stack(side, -1) for side in sides])


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Returns U(r) = r^2 log r^2 for all pairs of points, [B, N, M].

    Args:
        a: [B, N, 2].
        b: [B, M, 2].
    """
    squared = (a[:, :, None, 0] - b[:, None, :, 0]).square_()
    return _radial(squared.add_((a[:, :, None, 1] - b[:, None, :, 1]).square_()))


def _radial(squared: Tensor) -> Tensor:
    """Returns r^2 log r^2 of squared distances, which it overwrites: no arrays are larger than these."""
    squared.clamp_min_(1e-9)
    if squared.device.type == "cpu":  # numpy takes a third of torch's time
        return torch.from_numpy(np.log(squared.numpy())).mul_(squared)
    return squared.log().mul_(squared)


def tps_flow(
    source: Tensor, driver: Tensor, size: int = FLOW_SIZE, reach: float = 1.0, stiffness: float = _STIFFNESS
) -> Tensor:
    """Returns the flow from the driver's points to the source's points.

    The flow is the spline f with f(driver_i) ~ source_i (Bookstein, eq. 10-12). Border points are added to the control
    points and do not move.

    Args:
        source: control points [B, N, 2], -1 to 1.
        driver: control points [B, N, 2], -1 to 1.
        size: side of the flow, grid positions.
        reach: distance of the border points from the crop's center, in half crops.
        stiffness: ridge on the bending part. The larger it is, the less closely the spline meets the points.

    Returns:
        [B, size, size, 2], positions in the source, -1 to 1.
    """
    # The displacement rather than the position is interpolated: zero motion then gives exactly zero flow.
    grid = identity_grid(size, driver)
    return grid + tps_interpolate(driver, source - driver, None, grid, reach, stiffness)


def tps_interpolate(
    points: Tensor,
    values: Tensor,
    weights: Tensor | None,
    grid: Tensor,
    reach: float = REACH,
    stiffness: float = _STIFFNESS,
) -> Tensor:
    """Returns the thin-plate spline through values at points, evaluated on a grid, [B, h, w, D].

    Args:
        points: [B, N, 2], -1 to 1.
        values: [B, N, D].
        weights: [B, N], 0 to 1. The smaller a weight, the less closely the spline meets the value. None is 1.
        grid: [1, h, w, 2], -1 to 1: all rows have the same x, all columns the same y.
        reach: distance from the crop's center of border points with the value 0, in half crops.
        stiffness: ridge on the bending part of a point of weight 1.
    """
    batch, depth = len(points), values.shape[-1]
    border = reach * border_points(points).expand(batch, -1, -1)
    centers = torch.cat([points, border], 1)
    n = centers.shape[1]
    ridge = points.new_full((batch, n), stiffness)
    if weights is not None:
        ridge[:, : points.shape[1]] /= weights.clamp_min(_MIN_POINT_WEIGHT)
    affine = torch.cat([torch.ones_like(centers[..., :1]), centers], -1)
    system = centers.new_zeros(batch, n + 3, n + 3)
    system[:, :n, :n] = _kernel(centers, centers) + torch.diag_embed(ridge)
    system[:, :n, n:] = affine
    system[:, n:, :n] = affine.transpose(1, 2)
    solution = _solve(system, torch.cat([values, values.new_zeros(batch, BORDER + 3, depth)], 1))
    # The squared distance is a sum of one term for the column and one for the row. The rows come in chunks that stay in
    # the cache: fetched from memory, these products take three times as long.
    columns, rows = grid[0, 0, :, :1], grid[0, :, 0, 1:]
    across, down = ((line - centers[:, None, :, axis]).square() for axis, line in enumerate((columns, rows)))
    chunks = down.split(max(_CHUNK_POSITIONS // len(columns), 1), 1)
    kernels = (_radial(part[:, :, None] + across[:, None]).flatten(1, 2) for part in chunks)
    # The few channels come first: with them last, the products take five times as long.
    bent = torch.cat([solution[:, :n].mT @ kernel.mT for kernel in kernels], 2).view(batch, depth, *grid.shape[1:3])
    return bent.permute(0, 2, 3, 1) + solution[:, None, n : n + 1] + grid @ solution[:, None, n + 1 :]


def _solve(system: Tensor, target: Tensor) -> Tensor:
    """Returns the solution [B, N, 2] of linear systems.

    The CPU solves on one thread. On two threads, torch's LAPACK (MKL, torch 2.13) deadlocked in a batch of 254 x 254.
    numpy's LAPACK is no remedy: its idle threads occupy torch's cores for a third of the frame. The number of threads
    belongs to the process, so a thread that first uses torch during a solve keeps to one. Torch 2.6 cannot solve the
    systems on mps, so they move to the CPU.

    Args:
        system: [B, N, N].
        target: [B, N, 2].
    """
    device, threads = system.device, torch.get_num_threads()
    if device.type == "cuda":
        return torch.linalg.solve(system, target)
    if device.type == "mps":
        system, target = system.cpu(), target.cpu()
    torch.set_num_threads(1)
    try:
        return torch.linalg.solve(system, target).to(device)
    finally:
        torch.set_num_threads(threads)


def identity_grid(size: int, like: Tensor) -> Tensor:
    """Returns the flow without motion: the pixel centers, [1, size, size, 2], -1 to 1.

    Args:
        size: side of the flow, grid positions.
        like: a tensor of the wanted type and device.
    """
    make = _kept_grid if torch.is_inference_mode_enabled() else _grid
    return make(size, like.dtype, like.device)


def _grid(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    line = (torch.arange(size, dtype=dtype, device=device) + 0.5) * (2.0 / size) - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)[None]


_kept_grid = lru_cache(maxsize=8)(_grid)  # a frame needs ten grids of three sizes; nobody writes into them


def resize(maps: Tensor, size: int) -> Tensor:
    """Returns maps at another size, interpolated bilinearly, [B, C, size, size].

    Args:
        maps: [B, C, s, s].
        size: new side, pixels.
    """
    if maps.shape[-1] == size:
        return maps
    if opencv_maps.takes(maps):
        return opencv_maps.resize(maps, size)
    # Maps of two or three channels, last in memory, would take three times as long.
    return F.interpolate(maps.contiguous(), (size, size), mode="bilinear", align_corners=False)


def resize_flow(flow: Tensor, size: int) -> Tensor:
    """Returns a flow at another size, [B, size, size, 2].

    The displacement is interpolated, not the position.

    Args:
        flow: [B, s, s, 2], positions, -1 to 1.
        size: new side, grid positions.
    """
    if flow.shape[1] == size:
        return flow
    displacement = flow - identity_grid(flow.shape[1], flow)
    if opencv_maps.takes(flow):
        return opencv_maps.resize_vectors(displacement, size).add_(identity_grid(size, flow))
    return identity_grid(size, flow) + resize(displacement.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)


def sample(image: Tensor, flow: Tensor, padding: str = "reflection") -> Tensor:
    """Returns images sampled bilinearly along a flow, [B, C, h, w].

    Args:
        image: [B, C, H, W].
        flow: [B, h, w, 2], positions, -1 to 1.
        padding: what lies beyond the image: "reflection", "border" or "zeros".
    """
    if opencv_maps.takes(image) and image.shape[1] in opencv_maps.SAMPLED_CHANNELS:
        return opencv_maps.sample(image, flow, padding)
    return F.grid_sample(image, flow, padding_mode=padding, align_corners=False)


def tps_warp(image: Tensor, source_points: Tensor, driver_points: Tensor) -> Tensor:
    """Returns an image warped from source to driver control points, [B, 3, S, S].

    Args:
        image: [B, 3, S, S].
        source_points: [B, N, 2], pixels.
        driver_points: [B, N, 2], pixels.
    """
    size = image.shape[-1]
    flow = tps_flow(normalize_points(source_points, size), normalize_points(driver_points, size))
    return sample(image, resize_flow(flow, size))
