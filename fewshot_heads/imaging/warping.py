"""Thin-plate-spline flows from landmarks, and image sampling along a flow.

Bookstein, "Principal Warps", PAMI 1989. Coordinates are x and y from -1 to 1 over the crop, as in
`torch.nn.functional.grid_sample(align_corners=False)`. A flow holds absolute positions in the source image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BORDER = 12  # fixed points on the crop's border, which keep the background in place
_STIFFNESS = 1e-3  # ridge on the bending part: landmarks that nearly coincide (closed lips) must not fold the plane
REACH = 2.0  # distance of the border points in `tps_flow_from_landmarks` from the crop's center, in half crops
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
    squared = (a[:, :, None, 0] - b[:, None, :, 0]).square_()  # in place: no arrays are larger than these
    squared.add_((a[:, :, None, 1] - b[:, None, :, 1]).square_()).clamp_min_(1e-9)
    return squared.log().mul_(squared)


def tps_flow(
    source: Tensor, driver: Tensor, size: int = FLOW_SIZE, reach: float = 1.0, stiffness: Tensor | None = None
) -> Tensor:
    """Returns the flow from the driver's points to the source's points.

    The flow is the spline f with f(driver_i) ~ source_i (Bookstein, eq. 10-12). Border points are added to the control
    points and do not move.

    Args:
        source: control points [B, N, 2], -1 to 1.
        driver: control points [B, N, 2], -1 to 1.
        size: side of the flow, grid positions.
        reach: distance of the border points from the crop's center, in half crops.
        stiffness: [B, N], ridge on the bending part. The larger it is, the less closely the spline meets the point.
            None is 1e-3 for all points.

    Returns:
        [B, size, size, 2], positions in the source, -1 to 1.
    """
    batch = driver.shape[0]
    border = reach * border_points(driver).expand(batch, -1, -1)
    centers, values = torch.cat([driver, border], 1), torch.cat([source, border], 1)
    n = centers.shape[1]
    affine = torch.cat([torch.ones_like(centers[..., :1]), centers], -1)
    system = centers.new_zeros(batch, n + 3, n + 3)
    ridge = centers.new_full((batch, n), _STIFFNESS)
    if stiffness is not None:
        ridge[:, : driver.shape[1]] = stiffness
    system[:, :n, :n] = _kernel(centers, centers) + torch.diag_embed(ridge)
    system[:, :n, n:] = affine
    system[:, n:, :n] = affine.transpose(1, 2)
    # Solved for the displacement rather than the position: zero motion then gives exactly zero flow.
    target = torch.cat([values - centers, centers.new_zeros(batch, 3, 2)], 1)
    weights = _solve(system, target)
    grid = identity_grid(size, driver).expand(batch, -1, -1, -1)
    positions = grid.reshape(batch, -1, 2)
    # In chunks that stay in the cache: fetched from memory, these products take three times as long.
    chunks = positions.split(_CHUNK_POSITIONS, 1)
    bending = torch.cat([_kernel(chunk, centers) @ weights[:, :n] for chunk in chunks], 1)
    displacement = bending + weights[:, n : n + 1] + positions @ weights[:, n + 1 :]
    return grid + displacement.view(batch, size, size, 2)


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


def tps_flow_from_landmarks(source: Tensor, driver: Tensor, size: int) -> Tensor:
    """Returns the `tps_flow` that warps the person of a source image.

    The border points lie far outside the crop. Hair and shoulders then move with the head and are not stretched
    between the head and the crop's border. The background moves along too, and `rendering.background` replaces it.

    Args:
        source: `landmarks.control_points.warp_points` of the source, [B, N, 3], crop pixels.
        driver: `landmarks.control_points.warp_points` of the driver, [B, N, 3], crop pixels.
        size: side of the crop, pixels.

    Returns:
        [B, 64, 64, 2], positions in the source, -1 to 1.
    """
    weights = torch.minimum(source[..., 2], driver[..., 2]).clamp_min(_MIN_POINT_WEIGHT)
    source_points, driver_points = normalize_points(source[..., :2], size), normalize_points(driver[..., :2], size)
    return tps_flow(source_points, driver_points, reach=REACH, stiffness=_STIFFNESS / weights)


def identity_grid(size: int, like: Tensor) -> Tensor:
    """Returns the flow without motion: the pixel centers, [1, size, size, 2], -1 to 1.

    Args:
        size: side of the flow, grid positions.
        like: a tensor of the wanted type and device.
    """
    line = (torch.arange(size, dtype=like.dtype, device=like.device) + 0.5) * (2.0 / size) - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)[None]


def resize(maps: Tensor, size: int) -> Tensor:
    """Returns maps at another size, interpolated bilinearly, [B, C, size, size].

    Args:
        maps: [B, C, s, s].
        size: new side, pixels.
    """
    if maps.shape[-1] == size:
        return maps
    return F.interpolate(maps, (size, size), mode="bilinear", align_corners=False)


def resize_flow(flow: Tensor, size: int) -> Tensor:
    """Returns a flow at another size, [B, size, size, 2].

    The displacement is interpolated, not the position.

    Args:
        flow: [B, s, s, 2], positions, -1 to 1.
        size: new side, grid positions.
    """
    if flow.shape[1] == size:
        return flow
    displacement = (flow - identity_grid(flow.shape[1], flow)).permute(0, 3, 1, 2)
    return identity_grid(size, flow) + resize(displacement, size).permute(0, 2, 3, 1)


def sample(image: Tensor, flow: Tensor) -> Tensor:
    """Returns images sampled along a flow, [B, C, h, w], reflected beyond their borders.

    Args:
        image: [B, C, H, W].
        flow: [B, h, w, 2], positions, -1 to 1.
    """
    return F.grid_sample(image, flow, mode="bilinear", padding_mode="reflection", align_corners=False)


def log_area_change(flow: Tensor) -> Tensor:
    """Returns log2 of source area over result area, [B, 1, h, w], -4 to 4.

    The value is 0 where nothing moves. The value is very negative where a small patch is stretched, such as a closed
    mouth that opens. Such warped pixels are unreliable, and the generator has to synthesize new ones.

    Args:
        flow: [B, h, w, 2], positions, -1 to 1.
    """
    dx = torch.gradient(flow, dim=2)[0] * (flow.shape[2] / 2)
    dy = torch.gradient(flow, dim=1)[0] * (flow.shape[1] / 2)
    area = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
    return torch.log2(area.clamp(2**-4, 2**4))[:, None]


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
