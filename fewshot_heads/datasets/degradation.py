"""Degrades clean images so that they resemble old photographs and paintings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from fewshot_heads.datasets.clips import Clip, Footage

_EFFECT_PROBABILITY = 0.5  # of each of the four effects
# Ranges of the effects.
_BLUR_STD_PX = (0.5, 1.5)
_CRACK_DEPTH_GRAY_LEVELS = (15.0, 60.0)
_GRAIN_STD_GRAY_LEVELS = (2.0, 8.0)
_JPEG_QUALITY = (25, 75)
_PAINT_ISLANDS = (60, 400)  # number between the cracks of one image
_GRAIN_SIZE_PX = (0.6, 1.2)  # standard deviation of the blur that makes grain out of white noise
_CRACK_BLUR_STD_PX = 0.5


@dataclass(frozen=True)
class Degradation:
    """Blur, craquelure, grain and JPEG compression, equally strong in all images of an episode.

    Cracks and grains differ from image to image. A value of 0 switches an effect off.

    Attributes:
        blur: standard deviation, pixels.
        cracks: depth of the cracks, gray levels of 255.
        grain: standard deviation, gray levels of 255.
        quality: of the JPEG compression, 1 to 100.
        seed: of cracks and grains.
    """

    blur: float
    cracks: float
    grain: float
    quality: int
    seed: int

    @classmethod
    def draw(cls, random: np.random.Generator, cracks: bool = True) -> Degradation:
        """Draws a random degradation, with two of the four effects on average.

        Args:
            random: source of all random numbers.
            cracks: whether cracks are allowed.
        """
        low, high = np.transpose([_BLUR_STD_PX, _CRACK_DEPTH_GRAY_LEVELS, _GRAIN_STD_GRAY_LEVELS, _JPEG_QUALITY])
        strengths = random.uniform(low, high)
        blur, depth, grain, quality = np.where(random.random(4) < _EFFECT_PROBABILITY, strengths, 0.0).tolist()
        return cls(blur, depth if cracks else 0.0, grain, int(quality), int(random.integers(2**32)))

    def apply(self, picture: np.ndarray, index: int = 0) -> np.ndarray:
        """Returns the degraded image, uint8 [S, S, 3].

        Args:
            picture: uint8 [S, S, 3].
            index: number of the image in its episode. It chooses cracks and grains.
        """
        random = np.random.default_rng((self.seed, index))
        degraded: np.ndarray = np.asarray(picture, np.float32)
        if self.blur:
            degraded = cv2.GaussianBlur(degraded, (0, 0), self.blur)
        if self.cracks:
            degraded = degraded - self.cracks * _craquelure(degraded.shape[0], random)[..., None]
        if self.grain:
            white = random.standard_normal(degraded.shape[:2], np.float32)
            noise = cv2.GaussianBlur(white, (0, 0), random.uniform(*_GRAIN_SIZE_PX))
            degraded = degraded + self.grain / max(float(noise.std()), 1e-6) * noise[..., None]
        degraded = np.clip(degraded + 0.5, 0, 255).astype(np.uint8)
        if self.quality:
            _, jpeg = cv2.imencode(".jpg", degraded, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            degraded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
        return degraded

    def apply_to_clip(self, clip: Clip) -> Clip:
        """Returns the clip with degraded frames. A frame is degraded when it is indexed."""
        return Footage(clip.identity, _DegradedFrames(clip.frames, self), clip.landmarks, clip.kind)


class _DegradedFrames(Sequence[np.ndarray]):
    def __init__(self, frames: Sequence[np.ndarray], degradation: Degradation):
        self.frames, self.degradation = frames, degradation

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Any) -> Any:
        return self.degradation.apply(self.frames[index], index)


def _craquelure(size: int, random: np.random.Generator) -> np.ndarray:
    """Returns cracks float32 [size, size], 0 to 1: the borders of a random Voronoi diagram."""
    points = random.integers(size, size=(random.integers(*_PAINT_ISLANDS), 2))
    not_a_point: np.ndarray = np.ones((size, size), np.uint8)
    not_a_point[points[:, 0], points[:, 1]] = 0
    _, nearest = cv2.distanceTransformWithLabels(not_a_point, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    cracks = np.zeros((size, size), np.float32)
    cracks[:, 1:] = nearest[:, 1:] != nearest[:, :-1]
    cracks[1:] = np.maximum(cracks[1:], nearest[1:] != nearest[:-1])
    depth = cv2.resize(random.random((4, 4), np.float32), (size, size))  # varies slowly over the image
    return cv2.GaussianBlur(cracks, (0, 0), _CRACK_BLUR_STD_PX) * depth
