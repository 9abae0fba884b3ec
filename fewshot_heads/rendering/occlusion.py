"""Masks of the head and its hair, and the scene of source images."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from fewshot_heads.landmarks import N_POINTS

_AGREE = 12  # gray levels by which two pictures of a place differ, blurred
_ALIKE = 0.5  # of what both show around their heads must agree for a place to be the same
_SEEN = 0.05  # of a crop, the least to judge a place by
_AROUND = 0.12  # of the crop: hair reaches so far beyond the points of a head
_FAR = 0.3  # of the crop: and so far above the chin, where the rest of a person is not
HAIR_FRINGE_CROP_FRACTION = 0.02  # of the crop: single hairs reach so far beyond a matte
_SWAY = 0.02  # of the crop: a crown's way over which hair begins to have gone; twice as far it has


def head_occlusion_mask(source: np.ndarray, driver: np.ndarray, size: int) -> np.ndarray:
    """Returns where the driver's head occludes the background, float32 [S, S], 0 to 1.

    The mask is the hull of the head. If the head moved far from the source pose, the mask includes its hair margin.

    Args:
        source: [N, 2], control points of the source, pixels.
        driver: [N, 2], control points of the driver, pixels.
        size: side S of the crop, pixels.
    """
    head = head_mask(driver, size)
    gone = float(displacement_weight(torch.from_numpy(source - driver).norm(dim=-1) / size))
    return np.maximum(head, gone * hair_margin_mask(head)) if gone else head


def displacement_weight(ways: Tensor) -> Tensor:
    """Returns 1 for hair displaced by more than 4 % of the crop, 0 up to 2 %, [...].

    Displaced hair would remain in the background as a ghost.

    Args:
        ways: [..., N], displacements of the control points, fractions of the crop.
    """
    crowns = ways[..., N_POINTS:].mean(-1)
    return ((crowns - _SWAY) / _SWAY).clamp(0, 1)


def frames_of_same_scene(images: np.ndarray, heads: np.ndarray) -> list[int]:
    """Returns the indices of the images that show the scene of the first, including the first.

    The backgrounds beside and above the heads must agree, and the clothes below them. Images on white walls are
    therefore one scene only with the same clothes.

    Args:
        images: uint8 [K, S, S, 3].
        heads: float32 [K, S, S], 0 to 1, masks of the heads, which are not compared.
    """
    width = max(images.shape[1] // 32, 1)
    blurred = [cv2.blur(image, (width, width)).astype(np.int16) for image in images]
    clear = np.stack([dilate_soft(head, _AROUND) for head in heads]) < 0.5
    chins = [chin_row(head) for head in heads]
    found = [0]
    for i in range(1, len(images)):
        agree, around = np.abs(blurred[i] - blurred[0]).mean(2) < _AGREE, clear[0] & clear[i]
        below = np.arange(len(around))[:, None] > max(chins[0], chins[i])
        parts = [part for part in (around & ~below, around & below) if part.mean() > _SEEN / 2]
        if around.mean() > _SEEN and all(agree[part].mean() > _ALIKE for part in parts):
            found.append(i)
    return found


def hair_margin_mask(head: np.ndarray, span: float = 1.0) -> np.ndarray:
    """Returns a mask [S, S] of a head and its hair margin.

    The margin is wider above the chin.

    Args:
        head: [S, S], 0 to 1, mask of the head.
        span: S, in crops.
    """
    around, far = _AROUND / span, _FAR / span
    below = np.arange(len(head), dtype=np.float32)[:, None] - chin_row(head)
    above = np.clip(0.5 - below / (around * len(head)), 0, 1)
    return np.maximum(dilate_soft(head, around), dilate_soft(head, far) * above)


def chin_row(head: np.ndarray) -> int:
    """Returns the lowest row of a head.

    Args:
        head: [S, S], 0 to 1, mask of the head.
    """
    return int(np.flatnonzero((head > 0.5).any(1)).max(initial=0))


def dilate_soft(mask: np.ndarray, share: float) -> np.ndarray:
    """Returns the mask [S, S], dilated and with a soft edge.

    Args:
        mask: [S, S], 0 to 1.
        share: width of the dilation, as a fraction of S.
    """
    # Not DIST_MASK_PRECISE, whose last bit depends on where the array lies in memory.
    away = cv2.distanceTransform((mask < 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    away = np.minimum(away, len(mask))  # it is without bounds where there is no mask at all
    return np.clip(2.5 - away * (2 / (share * len(mask))), 0, 1)


def head_mask(points: np.ndarray, size: int) -> np.ndarray:
    """Returns a mask of a head, float32 [size, size], 0 to 1: the hull of its points with a soft edge.

    Args:
        points: [N, 2], control points, pixels.
        size: side of the mask, pixels.
    """
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(points.round().astype(np.int32)), 255)
    wide = max(round(size * 9 / 256), 1)
    return cv2.GaussianBlur(cv2.dilate(canvas, np.ones((wide, wide))), (0, 0), size * 3 / 256).astype(np.float32) / 255
