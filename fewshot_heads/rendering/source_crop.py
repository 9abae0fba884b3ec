"""Chooses the crop of a source image, so that it holds the head with room to move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.layers.parsing import parse

MIN_TEXTURE_PIXELS, MAX_TEXTURE_PIXELS = 256, 1024  # between these, crops keep their own resolution
_MAX_GROWTH = 1.5  # of the crop around the face, for hair and hats
_MIN_MATTE = 0.5
_MARGIN_CROP_FRACTION, _HEADROOM_CROP_FRACTION = 0.06, 0.1  # between head and border, as far as the image goes


def crop_with_hair(image: np.ndarray, face: Landmarks, crop: Crop) -> Crop:
    """Returns the crop of a source image, enlarged within the image to include hair and hats.

    Args:
        image: uint8 [H, W, 3].
        face: landmarks, pixels of the image.
        crop: crop around the face.
    """
    wide = crop.grown(_MAX_GROWTH)
    head = parse(wide.cut(image)).head > _MIN_MATTE
    if not head.any():
        return crop
    low = np.minimum([crop.left, crop.top], 0.0)
    high = np.maximum([crop.left + crop.side, crop.top + crop.side], image.shape[1::-1])
    margin, headroom = _MARGIN_CROP_FRACTION * crop.side, _HEADROOM_CROP_FRACTION * crop.side
    columns, rows = (np.flatnonzero(head.any(axis)) / wide.scale for axis in (0, 1))
    first = np.array([wide.left + columns[0] - margin, wide.top + rows[0] - headroom])
    last = np.array([wide.left + columns[-1], wide.top + rows[-1]]) + margin
    # The crop around the face and the head lie in one square.
    first = np.maximum(np.minimum(first, [crop.left, crop.top]), low)
    last = np.minimum(np.maximum(last, [crop.left + crop.side, crop.top + crop.side]), high)
    side = float(round(min((last - first).max(), wide.side, *(high - low))))
    corner = np.round((first + last) / 2 - side / 2)
    corner[1] = min(corner[1], np.floor(first[1]))  # of a square that is too small, hair below is left out
    corner = np.clip(corner, low, np.maximum(high - side, low))
    return replace(crop, left=float(corner[0]), top=float(corner[1]), side=side)


def texture_size(crops: Sequence[Crop]) -> int:
    """Returns the side of the textures, pixels.

    The side is that of the largest crop, within 256 to 1024, rounded up to a multiple of 32.

    Args:
        crops: of the source images.
    """
    side = max(min(crop.side, MAX_TEXTURE_PIXELS) for crop in crops)
    return max(int(np.ceil(side / 32)) * 32, MIN_TEXTURE_PIXELS)
