"""Soft masks of faces and their parts."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import LEFT_EYE, OUTER_LIPS, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.aspect_ratio import OPENING_REGIONS, disocclusion_amount
from fewshot_heads.landmarks.stickman import SUBPIXEL_BITS, fixed_point


def region_masks(points: np.ndarray, size: int) -> list[np.ndarray]:
    """Soft-edged masks of the eyes and of the mouth, float32 [size, size]."""
    regions = []
    for parts in ((RIGHT_EYE, LEFT_EYE), (OUTER_LIPS,)):
        region: np.ndarray = np.zeros((size, size), np.float32)
        for part in parts:
            cv2.fillConvexPoly(region, cv2.convexHull(points[part].round().astype(np.int32)), 1.0)
        wide = max(round(size * 9 / 256), 1)
        regions.append(cv2.GaussianBlur(cv2.dilate(region, np.ones((wide, wide))), (0, 0), size / 64))
    return regions


def disocclusion_mask(source: Landmarks, driver: Landmarks, size: int) -> np.ndarray:
    """Where the driver opens a mouth or an eye that is shut in the source: float32 [size, size], 0 to 1.

    source, driver: faces in pixels of their crops. What lies inside there is not in the source's pixels, however they
    are carried, so the generator has to paint it.
    """
    canvas = np.zeros((size, size), np.uint8)
    for part, share in zip(OPENING_REGIONS, disocclusion_amount(source, driver), strict=True):
        if share > 0:
            outline = fixed_point(driver.points[part]).round().astype(np.int32)
            cv2.fillPoly(canvas, [outline], int(round(255 * share)), cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas.astype(np.float32) / 255


def soft_hull(points: np.ndarray, size: int, margin: float = 0.0, blur: float = 1.0) -> np.ndarray:
    """Returns a mask float32 [size, size]: 1 within the convex hull of points, falling to 0 around it.

    Args:
        points: [N, 2], pixels.
        size: side of the mask, pixels.
        margin: pixels by which the hull grows before it is blurred.
        blur: standard deviation of the Gaussian blur, pixels.
    """
    mask: np.ndarray = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.round().astype(np.int32)), 1.0)
    if margin > 0:
        side = 2 * round(margin) + 1
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return cv2.GaussianBlur(mask, (0, 0), blur)
