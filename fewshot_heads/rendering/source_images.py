"""A head's source images at one resolution, with their surroundings."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_tensor, to_uint8, unit_to_uint8
from fewshot_heads.imaging.segmentation import person_matte

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


class PersonMattes(NamedTuple):
    """Where the person is in a head's source images.

    Attributes:
        crops: float32 [K, S, S], 0 to 1, in the crops.
        wide: float32 [V, V], 0 to 1, in a single image's surroundings; None for several images.
    """

    crops: np.ndarray
    wide: np.ndarray | None


def person_mattes(head: Head, size: int) -> PersonMattes:
    """Returns the mattes that the head keeps; segments the images of a head of the first file format."""
    head = segment_head(head, size)
    assert head.mattes is not None
    wide = None if head.wide_matte is None else _unit(head.wide_matte)
    return PersonMattes(_unit(head.mattes), wide)


def _unit(matte: np.ndarray) -> np.ndarray:
    return matte.astype(np.float32) / 255


def segment_head(head: Head, size: int) -> Head:
    """The head with the mattes of its images: each is segmented once, here.

    Args:
        head: with or without mattes; one that has them is returned as it is.
        size: S, side of the generator's crop, pixels.
    """
    if head.mattes is not None:
        return head
    mattes = np.stack([person_matte(image) for image in to_uint8(resize_images(to_tensor(head.textures), size))])
    wide_matte = None
    if len(mattes) == 1:  # of several images, a head keeps only the first with its surroundings
        wide = resize_images(to_tensor(surroundings(head))[None], round(size * WIDE_CROP_RATIO))
        wide_matte = unit_to_uint8(_refine_middle(person_matte(to_uint8(wide)[0]), mattes[0]))
    return replace(head, mattes=unit_to_uint8(mattes), wide_matte=wide_matte)


def _refine_middle(wide: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """A matte [V, V], with what a closer look [S, S] finds in its middle."""
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
