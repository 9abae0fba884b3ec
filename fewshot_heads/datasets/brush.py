"""Paints strokes over clean images, so that they resemble paintings."""

from __future__ import annotations

import cv2
import numpy as np

_STROKE_STEPS = 4  # samples along a stroke to either side
_CELLS = (2, 7)  # swirls across an image
_STEP_PX = (0.8, 2.5)  # between the samples
_RELIEF_GRAY_LEVELS = (0.0, 22.0)  # contrast of the strokes
_HUE_GRAY_LEVELS = (0.0, 12.0)  # the strokes' differences of color
_SMEAR = (0.2, 0.8)  # share of the smeared image


def brush_strokes(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns the image with brush strokes along a random field of directions, uint8 [S, S, 3].

    Line integral convolution (Cabral and Leedom, SIGGRAPH 1993) of the image and of noise.

    Args:
        image: uint8 [S, S, 3].
        random: source of all random numbers.
    """
    size = image.shape[0]
    cells = int(random.integers(*_CELLS))
    turns = random.normal(0, 1.5, (cells, cells)).astype(np.float32)
    angle = cv2.resize(turns, (size, size), interpolation=cv2.INTER_CUBIC)
    along = np.dstack([np.cos(angle), np.sin(angle)]).astype(np.float32) * random.uniform(*_STEP_PX)
    noise = cv2.resize(random.standard_normal((size // 2, size // 2, 3), np.float32), (size, size))
    grid = np.dstack(np.meshgrid(np.arange(size), np.arange(size))).astype(np.float32)
    no_map: np.ndarray = np.empty(0, np.float32)
    layers = np.dstack([image.astype(np.float32), noise])
    total = layers.copy()
    for direction in (1, -1):
        position = grid
        for _ in range(_STROKE_STEPS):
            position = position + direction * along
            total += cv2.remap(layers, position, no_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    total /= 1 + 2 * _STROKE_STEPS
    smeared, strokes = total[..., :3], total[..., 3:] / max(float(total[..., 3:].std()), 1e-6)
    relief = random.uniform(*_RELIEF_GRAY_LEVELS) * strokes[..., :1] + random.uniform(*_HUE_GRAY_LEVELS) * strokes
    share = random.uniform(*_SMEAR)
    painted = image + share * (smeared - image) + relief
    return np.clip(painted, 0, 255).astype(np.uint8)
