"""A head's source images at one resolution, with their surroundings."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.head import Head

# Side of a single source image's surroundings, in crops: so much may come into view when the head leans.
WIDE_CROP_RATIO = 1.5


class SourceImages(NamedTuple):
    """A head's source images at one resolution R.

    Attributes:
        crops: [K, 3, R, R], the square crops.
        wide: [K, 3, W, W], what is warped: the crops with their surroundings, W = crop_ratio * R.
        background_plate: [3, R, R], the background behind all heads.
    """

    crops: Tensor
    wide: Tensor
    background_plate: Tensor


def pick_images(pictures: Tensor, place: Tensor) -> Tensor:
    """Of pictures or mattes [K, C, R, R] those at place [B, T]: [B, T, C, R, R]; no copies of a lone one."""
    return pictures.expand(len(place), 1, -1, -1, -1) if len(pictures) == 1 else pictures[place]


def surroundings(head: Head) -> np.ndarray:
    """The first picture around its crop, uint8 [W, W, 3] at the texture's resolution; mirrored beyond its edges."""
    return replace(head.crop.grown(WIDE_CROP_RATIO), size=round(head.textures.shape[1] * WIDE_CROP_RATIO)).cut(
        head.picture
    )


def refine_middle(wide: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """A matte [V, V] and what a closer look [S, S] finds in its middle besides."""
    wide, first = wide.copy(), (len(wide) - len(middle)) // 2
    inner = (slice(first, first + len(middle)),) * 2
    wide[inner] = np.maximum(wide[inner], middle)
    return wide


def unmirrored_bounds(head: Head, width: int) -> tuple[slice, slice]:
    """Those rows and columns of its `surroundings`, width x width, that are not mirrored, and all of the crop's."""
    crop, scale, margin = (
        head.crop,
        width / (head.crop.side * WIDE_CROP_RATIO),
        round((1 - 1 / WIDE_CROP_RATIO) / 2 * width),
    )
    spans = []
    for corner, length in zip((crop.top, crop.left), head.picture.shape[:2], strict=True):
        first = margin - round(corner * scale)
        spans.append(slice(min(max(first, 0), margin), max(min(first + round(length * scale), width), width - margin)))
    return spans[0], spans[1]


def resize_images(pictures: Tensor, size: int) -> Tensor:
    """[K, 3, R, R] to [K, 3, size, size]; as they are where that is their size."""
    if pictures.shape[-1] == size:
        return pictures
    return F.interpolate(pictures, (size, size), mode="bilinear", align_corners=False, antialias=True)
