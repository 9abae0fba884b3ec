"""Soft masks of eyes and mouths, and means inside masks."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import LEFT_EYE, OUTER_LIPS, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.aspect_ratio import OPENING_REGIONS
from fewshot_heads.landmarks.stickman import SUBPIXEL_BITS, fixed_point

_REGION_DILATION_FRACTION = 9 / 256  # side of the square that dilates a region, over the mask's side
_MIN_WEIGHT = 1e-3  # far from a mask a mean is 0
_REGION_SIGMAS_PER_SIZE = 64  # the soft edge has a standard deviation of 1/64 of the mask's side


def region_masks(points: np.ndarray, size: int) -> list[np.ndarray]:
    """Returns dilated masks of the eyes and of the mouth with soft edges.

    Args:
        points: landmarks [70, 2], pixels of the mask.
        size: side of the mask, pixels.

    Returns:
        Two masks, float32 [size, size], 0 to 1: both eyes, mouth.
    """
    masks = []
    for outlines in ((RIGHT_EYE, LEFT_EYE), (OUTER_LIPS,)):
        mask: np.ndarray = np.zeros((size, size), np.float32)
        for outline in outlines:
            cv2.fillConvexPoly(mask, cv2.convexHull(points[outline].round().astype(np.int32)), 1.0)
        side = max(round(size * _REGION_DILATION_FRACTION), 1)
        masks.append(cv2.GaussianBlur(cv2.dilate(mask, np.ones((side, side))), (0, 0), size / _REGION_SIGMAS_PER_SIZE))
    return masks


def bounding_box(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Returns rows and columns of a mask [H, W] that is not empty, with a margin in pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
        slice(max(columns[0] - margin, 0), columns[-1] + margin + 1),
    )


def blurred_inside(values: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Returns values [H, W] blurred inside a mask, as if nothing were outside (Knutsson and Westin, CVPR 1993).

    Args:
        values: [H, W].
        mask: float32 [H, W], 0 to 1.
        sigma: standard deviation, pixels.
    """
    blurred = cv2.GaussianBlur(values * mask, (0, 0), sigma)
    return np.asarray(blurred / np.maximum(cv2.GaussianBlur(mask, (0, 0), sigma), _MIN_WEIGHT))


def disocclusion_mask(face: Landmarks, amounts: np.ndarray, size: int) -> np.ndarray:
    """Returns where a face opens a mouth or eye that is closed in the source.

    The source image has no pixels for the inside of such a mouth or eye, so the generator synthesizes it.

    Args:
        face: landmarks of the frame, crop pixels.
        amounts: [3], 0 to 1, how much eyes and mouth open, see `disocclusion_amount`.
        size: side of the crop and of the mask, pixels.

    Returns:
        float32 [size, size], 0 to 1.
    """
    canvas = np.zeros((size, size), np.uint8)
    for region, amount in zip(OPENING_REGIONS, amounts, strict=True):
        if amount > 0:
            outline = fixed_point(face.points[region]).round().astype(np.int32)
            cv2.fillPoly(canvas, [outline], int(round(255 * amount)), cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas.astype(np.float32) / 255


def soft_hull(points: np.ndarray, size: int, margin: float = 0.0, blur: float = 1.0) -> np.ndarray:
    """Returns a mask float32 [size, size]: 1 within the convex hull of points, falling to 0 around it.

    Args:
        points: [N, 2], pixels.
        size: side of the mask, pixels.
        margin: pixels by which the hull grows before it is blurred.
        blur: standard deviation of the Gaussian blur, pixels.
    """
    outside: np.ndarray = np.ones((size, size), np.uint8)
    cv2.fillConvexPoly(outside, cv2.convexHull(points.round().astype(np.int32)), 0)
    # A dilation by a large disk would take ten times as long.
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return cv2.GaussianBlur((distance <= round(margin)).astype(np.float32), (0, 0), blur)
