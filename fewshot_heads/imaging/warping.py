"""Image sampling along a flow.

Coordinates are x and y from -1 to 1 over the crop, as in `torch.nn.functional.grid_sample(align_corners=False)`. A flow
holds absolute positions in the source image.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging import opencv_maps

Points = TypeVar("Points", Tensor, np.ndarray)


def normalize_points(points: Points, size: int) -> Points:
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
    make = _kept_grid if torch.is_inference_mode_enabled() else _grid
    return make(size, like.dtype, like.device)


def _grid(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    line = (torch.arange(size, dtype=dtype, device=device) + 0.5) * (2.0 / size) - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)[None]


_kept_grid = lru_cache(maxsize=8)(_grid)  # a frame needs ten grids of three sizes; nobody writes into them


@cache
def grid_positions(size: int) -> np.ndarray:
    """Returns the flow without motion as an array, float32 [size, size, 2], -1 to 1. Do not change it.

    Args:
        size: side of the flow, grid positions.
    """
    return _grid(size, torch.float32, torch.device("cpu"))[0].numpy()


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
