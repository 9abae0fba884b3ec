"""The stickman: landmarks rasterized as the image that the networks are conditioned on.

OpenCV draws the stickman on the CPU, so every device gets the same pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import INNER_LIPS, LEFT_IRIS, RIGHT_IRIS

# (points, closed, color). The inner lips have a separate color, or mouths would never close.
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
_LINE_WIDTHS_PER_SIZE = 128
_IRIS_RADII_PER_SIZE = 100
SUBPIXEL_BITS = 4  # fractional bits of OpenCV's fixed-point coordinates


def draw_stickman(points: np.ndarray, size: int, scale: float = 1.0) -> np.ndarray:
    """Returns landmarks drawn as anti-aliased lines.

    A line with a NaN point is left out.

    Args:
        points: [70, 2], crop pixels.
        size: side of the result, pixels. The line width is 1/128 of the size.
        scale: pixels of the result per crop pixel.

    Returns:
        uint8 RGB [size, size, 3].
    """
    canvas = np.zeros((size, size, 3), np.uint8)
    width = max(round(size / _LINE_WIDTHS_PER_SIZE), 1)
    fixed = fixed_point(points * scale)
    mouth = fixed[INNER_LIPS]
    if np.isfinite(mouth).all():  # filled, or barely parted lips would look closed
        cv2.fillPoly(canvas, [mouth.round().astype(np.int32)], _MOUTH_COLOR, cv2.LINE_AA, SUBPIXEL_BITS)
    for indices, closed, color in _LINES:
        line = fixed[indices]
        if np.isfinite(line).all():
            cv2.polylines(canvas, [line.round().astype(np.int32)], closed, color, width, cv2.LINE_AA, SUBPIXEL_BITS)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        if np.isfinite(fixed[iris]).all():
            center = fixed[iris].round().astype(int)
            radius = round(size / _IRIS_RADII_PER_SIZE * (1 << SUBPIXEL_BITS))
            cv2.circle(canvas, tuple(center), radius, _IRIS_COLOR, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Returns points in OpenCV's fixed-point coordinates, whose pixel centers lie at integers.

    Args:
        points: [..., 2], pixels, with pixel edges at integers.
    """
    return (points - 0.5) * (1 << SUBPIXEL_BITS)
