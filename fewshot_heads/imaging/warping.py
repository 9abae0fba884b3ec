"""The texture branch's geometry: thin-plate-spline flow from landmarks, and sampling along it.

Bookstein, "Principal Warps", PAMI 1989. Coordinates here are [-1, 1] over the crop, x then y,
as `torch.nn.functional.grid_sample(align_corners=False)` has them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BORDER = 12  # fixed points on the crop's border, which hold the background still
_STIFFNESS = 1e-3  # regularisation: landmarks that nearly coincide (closed lips) must not fold the plane
REACH = 2.0  # how far out, in halves of the crop, the points lie that hold what `tps_flow_from_landmarks` carries
_UNSEEN = 1e-8  # the weight of a point below which it has no say anyway
_PIECE = 512  # places of the grid at once
FLOW_SIZE = 64  # the spline is smooth: it is evaluated on this grid and interpolated


def normalize_points(points: Tensor, size: int) -> Tensor:
    """Pixels of a size x size crop to [-1, 1]."""
    return points * (2.0 / size) - 1.0


def border_points(like: Tensor) -> Tensor:
    """[BORDER, 2] points around the square [-1, 1]."""
    t = torch.linspace(-1, 1, BORDER // 4 + 1, dtype=like.dtype, device=like.device)[:-1]
    one = torch.ones_like(t)
    sides = [(t, -one), (one, t), (-t, one), (-one, -t)]
    return torch.cat([torch.stack(side, -1) for side in sides])


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """U(r) = r^2 log r^2 between [B, N, 2] and [B, M, 2]: [B, N, M]."""
    squared = (a[:, :, None, 0] - b[:, None, :, 0]).square_()  # in place: these are the largest arrays there are
    squared.add_((a[:, :, None, 1] - b[:, None, :, 1]).square_()).clamp_min_(1e-9)
    return squared.log().mul_(squared)


def tps_flow(
    source: Tensor, driver: Tensor, size: int = FLOW_SIZE, reach: float = 1.0, stiffness: Tensor | None = None
) -> Tensor:
    """Where in the source each place of the result comes from.

    source, driver: control points [B, N, 2] in [-1, 1]; border points are added here, `reach` from the center.
    stiffness: the ridge on the bending part, [B, N]: how little each point is met; None is `_STIFFNESS` for all.
    Returns absolute sampling positions [B, size, size, 2] in [-1, 1], the spline f with
    f(driver_i) ~ source_i (Bookstein, eq. 10-12).
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
    weights = _solved(system, target)
    grid = identity_grid(size, driver).expand(batch, -1, -1, -1)
    places = grid.reshape(batch, -1, 2)
    # In pieces that stay in the cache: fetched from memory, these products take three times as long.
    bending = torch.cat([_kernel(some, centers) @ weights[:, :n] for some in places.split(_PIECE, 1)], 1)
    shift = bending + weights[:, n : n + 1] + places @ weights[:, n + 1 :]
    return grid + shift.view(batch, size, size, 2)


def _solved(system: Tensor, target: Tensor) -> Tensor:
    """The solution [B, N, 2] of systems [B, N, N].

    On the CPU on one thread. On two, torch's LAPACK (MKL, of 2.13) was seen to wait for itself for ever in a batch of
    254 x 254; numpy's is no way out, its idle threads take torch's cores away for a third of the frame. (The number is
    the process's: a thread that first meets torch during a solve keeps to one.) And mps cannot solve it with torch 2.6.
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
    """`tps_flow` for the carried person, from `landmarks.geometry.warp_points` [B, N, 3] in a size x size crop.

    Its border lies far out: hair and shoulders go with the head instead of being stretched between it and the crop's
    edge. The background that goes with them is the still layer's business.
    """
    weights = torch.minimum(source[..., 2], driver[..., 2]).clamp_min(_UNSEEN)
    here, there = normalize_points(source[..., :2], size), normalize_points(driver[..., :2], size)
    return tps_flow(here, there, reach=REACH, stiffness=_STIFFNESS / weights)


def identity_grid(size: int, like: Tensor) -> Tensor:
    """[1, size, size, 2] positions of pixel centers in [-1, 1]."""
    line = (torch.arange(size, dtype=like.dtype, device=like.device) + 0.5) * (2.0 / size) - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)[None]


def resize(maps: Tensor, size: int) -> Tensor:
    """[B, C, s, s] to [B, C, size, size]."""
    if maps.shape[-1] == size:
        return maps
    return F.interpolate(maps, (size, size), mode="bilinear", align_corners=False)


def resize_flow(flow: Tensor, size: int) -> Tensor:
    """[B, s, s, 2] positions to [B, size, size, 2]; the displacement is interpolated, not the position."""
    if flow.shape[1] == size:
        return flow
    shift = (flow - identity_grid(flow.shape[1], flow)).permute(0, 3, 1, 2)
    return identity_grid(size, flow) + resize(shift, size).permute(0, 2, 3, 1)


def sample(image: Tensor, flow: Tensor) -> Tensor:
    """image [B, C, H, W] at positions flow [B, h, w, 2]: [B, C, h, w]."""
    return F.grid_sample(image, flow, mode="bilinear", padding_mode="reflection", align_corners=False)


def log_area_change(flow: Tensor) -> Tensor:
    """log2 of how much source area lies behind each place: [B, 1, h, w], 0 where nothing moves.

    Very negative where a small patch was pulled apart (a closed mouth that opens): there the carried
    pixels cannot be trusted, and the generator must paint.
    """
    dx = torch.gradient(flow, dim=2)[0] * (flow.shape[2] / 2)
    dy = torch.gradient(flow, dim=1)[0] * (flow.shape[1] / 2)
    area = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
    return torch.log2(area.clamp(2**-4, 2**4))[:, None]


def tps_warp(image: Tensor, source_points: Tensor, driver_points: Tensor) -> Tensor:
    """The bare warp: image [B, 3, S, S] carried from source to driver control points [B, N, 2] (pixels)."""
    size = image.shape[-1]
    flow = tps_flow(normalize_points(source_points, size), normalize_points(driver_points, size))
    return sample(image, resize_flow(flow, size))
