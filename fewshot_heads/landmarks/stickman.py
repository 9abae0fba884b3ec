"""Landmarks drawn as a picture: the stickman the networks are conditioned on.

Drawn on the CPU whatever device the networks run on, so it is the same picture everywhere.
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import INNER_LIPS, LEFT_IRIS, RIGHT_IRIS

# (points, closed, color): inner lips have a color of their own, or mouths would never close.
_LINES: list[tuple[list[int], bool, tuple[int, int, int]]] = [
    (list(range(0, 17)), False, (255, 0, 0)),
    (list(range(17, 22)), False, (0, 255, 0)),
    (list(range(22, 27)), False, (0, 255, 0)),
    (list(range(27, 31)), False, (255, 128, 0)),
    (list(range(31, 36)), False, (255, 128, 0)),
    (list(range(36, 42)), True, (0, 128, 255)),
    (list(range(42, 48)), True, (0, 128, 255)),
    (list(range(48, 60)), True, (255, 0, 255)),
    (list(range(60, 68)), True, (128, 255, 255)),
]
_MOUTH_COLOR = (0, 0, 255)
_IRIS_COLOR = (255, 255, 0)
SUBPIXEL_BITS = 4


def draw_stickman(points: np.ndarray, size: int, scale: float = 1.0) -> np.ndarray:
    """points [70, 2] in pixels of a crop, drawn at `scale` into uint8 RGB [size, size, 3]; anti-aliased.

    Line width is 1/128 of the size. A point that is not a number leaves its line out.
    """
    canvas = np.zeros((size, size, 3), np.uint8)
    width = max(round(size / 128), 1)
    fixed = fixed_point(points * scale)
    mouth = fixed[INNER_LIPS]
    if np.isfinite(mouth).all():  # filled, or the outlines of barely parted lips would look like closed ones
        cv2.fillPoly(canvas, [mouth.round().astype(np.int32)], _MOUTH_COLOR, cv2.LINE_AA, SUBPIXEL_BITS)
    for indices, closed, color in _LINES:
        line = fixed[indices]
        if np.isfinite(line).all():
            cv2.polylines(canvas, [line.round().astype(np.int32)], closed, color, width, cv2.LINE_AA, SUBPIXEL_BITS)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        if np.isfinite(fixed[iris]).all():
            center = fixed[iris].round().astype(int)
            radius = round(size / 100 * (1 << SUBPIXEL_BITS))
            cv2.circle(canvas, tuple(center), radius, _IRIS_COLOR, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Points have pixel edges at integers; OpenCV has pixel centers there, and a fixed-point fraction."""
    return (points - 0.5) * (1 << SUBPIXEL_BITS)
