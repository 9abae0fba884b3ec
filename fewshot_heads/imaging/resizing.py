"""Resizing of images, without torch: tracking a driver needs no networks of torch."""

from __future__ import annotations

import cv2
import numpy as np


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """Returns a square image at another size: area averaging shrinks it, cubic interpolation enlarges it.

    Args:
        image: [S, S] or [S, S, C].
        side: new side, pixels.
    """
    if len(image) == side:
        return image
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC)
