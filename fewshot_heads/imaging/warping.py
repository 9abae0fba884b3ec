"""Image sampling along a flow, of arrays or of tensors.

Coordinates are x and y from -1 to 1 over the crop, as in `torch.nn.functional.grid_sample(align_corners=False)`. A flow
holds absolute positions in the source image.

Frames are rendered from arrays, with OpenCV. Networks are trained on tensors, with torch, whose gradients they need.
The results are the same up to rounding.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fewshot_heads.imaging import opencv_maps

if TYPE_CHECKING:
    from torch import Tensor

Maps = TypeVar("Maps", np.ndarray, "Tensor")


def normalize_points(points: Maps, size: int) -> Maps:
    """Returns points in coordinates from -1 to 1.

    Args:
        points: tensor or array [..., 2], pixels of the crop.
        size: side of the crop, pixels.
    """
    return points * (2.0 / size) - 1.0


def identity_grid(size: int, like: Tensor) -> Tensor:
    """Returns the flow without motion: the pixel centers, [1, size, size, 2], -1 to 1.

    Args:
        size: side of the flow, grid positions.
        like: a tensor of the wanted type and device.
    """
    import torch

    line = (torch.arange(size, dtype=like.dtype, device=like.device) + 0.5) * (2.0 / size) - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)[None]


@cache
def grid_positions(size: int) -> np.ndarray:
    """Returns the flow without motion as an array, float32 [size, size, 2], -1 to 1. Do not change it.

    Args:
        size: side of the flow, grid positions.
    """
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2.0 / size) - np.float32(1)
    return np.stack(np.meshgrid(line, line), -1)


def resize(maps: Maps, size: int) -> Maps:
    """Returns maps at another size, interpolated bilinearly, [B, C, size, size].

    Args:
        maps: [B, C, s, s].
        size: new side, pixels.
    """
    if maps.shape[-1] == size:
        return maps
    if isinstance(maps, np.ndarray):
        return opencv_maps.resize(maps, size)
    from torch.nn.functional import interpolate

    # Maps of two or three channels, last in memory, would take three times as long.
    return interpolate(maps.contiguous(), (size, size), mode="bilinear", align_corners=False)


def resize_flow(flow: Maps, size: int) -> Maps:
    """Returns a flow at another size, [B, size, size, 2].

    The displacement is interpolated, not the position.

    Args:
        flow: [B, s, s, 2], positions, -1 to 1.
        size: new side, grid positions.
    """
    side = flow.shape[1]
    if side == size:
        return flow
    if isinstance(flow, np.ndarray):
        return opencv_maps.resize_vectors(flow - grid_positions(side), size) + grid_positions(size)
    displacement = flow - identity_grid(side, flow)
    return identity_grid(size, flow) + resize(displacement.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)


def sample(image: Maps, flow: Maps, padding: str = "reflection") -> Maps:
    """Returns images sampled bilinearly along a flow, [B, C, h, w].

    Args:
        image: [B, C, H, W]; an array has 1, 3 or 4 channels.
        flow: [B, h, w, 2], positions, -1 to 1.
        padding: what lies beyond the image: "reflection", "border" or "zeros".
    """
    if isinstance(image, np.ndarray):
        return opencv_maps.sample(image, flow, padding)
    from torch.nn.functional import grid_sample

    return grid_sample(image, flow, padding_mode=padding, align_corners=False)
