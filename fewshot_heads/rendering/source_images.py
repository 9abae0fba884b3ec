"""The source images of a head at one resolution, with their surroundings and mattes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_tensor, to_uint8, unit_to_uint8
from fewshot_heads.rendering.parsing import person_matte

# Side of a single source image's surroundings, in crops. They come into view when the head leans.
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


def pick_images(images: Tensor, indices: Tensor) -> Tensor:
    """Returns the images of each frame, [B, T, C, R, R]; a single image is not copied.

    Args:
        images: [K, C, R, R], images or mattes.
        indices: [B, T], 0 to K - 1.
    """
    return images.expand(len(indices), 1, -1, -1, -1) if len(images) == 1 else images[indices]


def surroundings(head: Head) -> np.ndarray:
    """Returns the first source image around its crop, uint8 [W, W, 3], mirrored beyond its edges.

    Args:
        head: the head. Its textures give the resolution: W = 1.5 R.
    """
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
    """Returns the mattes of a head; segments the images if the head has none.

    Args:
        head: with or without mattes.
        size: S, side of the generator's crop, pixels.
    """
    head = segment_head(head, size)
    assert head.mattes is not None
    wide = None if head.wide_matte is None else _unit(head.wide_matte)
    return PersonMattes(_unit(head.mattes), wide)


def _unit(matte: np.ndarray) -> np.ndarray:
    return matte.astype(np.float32) / 255


def segment_head(head: Head, size: int) -> Head:
    """Returns the head with mattes, so that each image is segmented once.

    Args:
        head: with or without mattes. A head with mattes is returned unchanged.
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
    """Returns a matte [V, V] with the larger values of a more exact matte [S, S] in its middle."""
    refined, first = wide.copy(), (len(wide) - len(middle)) // 2
    inner = (slice(first, first + len(middle)),) * 2
    refined[inner] = np.maximum(refined[inner], middle)
    return refined


def unmirrored_bounds(head: Head, width: int) -> tuple[slice, slice]:
    """Returns the rows and the columns of `surroundings` that are not mirrored.

    The rows and columns of the crop are always included.

    Args:
        head: the head.
        width: side of the surroundings, pixels.
    """
    crop, scale = head.crop, width / (head.crop.side * WIDE_CROP_RATIO)
    margin = round((1 - 1 / WIDE_CROP_RATIO) / 2 * width)
    spans = []
    for corner, length in zip((crop.top, crop.left), head.picture.shape[:2], strict=True):
        first = margin - round(corner * scale)
        spans.append(slice(min(max(first, 0), margin), max(min(first + round(length * scale), width), width - margin)))
    return spans[0], spans[1]


def resize_images(images: Tensor, size: int) -> Tensor:
    """Returns images at another size, [K, 3, size, size].

    Args:
        images: [K, 3, R, R].
        size: new side, pixels.
    """
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
