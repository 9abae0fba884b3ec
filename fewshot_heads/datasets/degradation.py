"""What time and cameras do to pictures: old photographs and paintings, made of clean footage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from fewshot_heads.datasets.clips import Clip, Footage

_HAD = 0.5  # chance of each of the four
_BLUR = (0.5, 1.5)  # pixels
_CRACKS = (15.0, 60.0)  # levels of 255
_GRAIN = (2.0, 8.0)  # levels of 255
_QUALITY = (25, 75)  # of JPEG
_ISLES = (60, 400)  # of paint between cracks, in a picture
_COARSE = (0.6, 1.2)  # pixels: how large a grain is


@dataclass(frozen=True)
class Degradation:
    """Blur, craquelure, grain and JPEG, alike for all pictures of an episode; each has cracks and grains of its own.

    blur: standard deviation, pixels; cracks: depth; grain: standard deviation, both in levels of 255; quality: of
    JPEG, 1 to 100. 0 is none of it.
    """

    blur: float
    cracks: float
    grain: float
    quality: int
    seed: int

    @classmethod
    def draw(cls, random: np.random.Generator, cracks: bool = True) -> Degradation:
        """A random one, of half of the four on average; cracks: whether there may be any."""
        low, high = np.transpose([_BLUR, _CRACKS, _GRAIN, _QUALITY])
        much = random.uniform(low, high)
        blur, depth, grain, quality = np.where(random.random(4) < _HAD, much, 0.0).tolist()
        return cls(blur, depth if cracks else 0.0, grain, int(quality), int(random.integers(2**32)))

    def apply(self, picture: np.ndarray, index: int = 0) -> np.ndarray:
        """A picture uint8 [S, S, 3], worn; index: which of the episode's it is."""
        random = np.random.default_rng((self.seed, index))
        worn: np.ndarray = np.asarray(picture, np.float32)
        if self.blur:
            worn = cv2.GaussianBlur(worn, (0, 0), self.blur)
        if self.cracks:
            worn = worn - self.cracks * _craquelure(worn.shape[0], random)[..., None]
        if self.grain:
            white = random.standard_normal(worn.shape[:2], np.float32)
            noise = cv2.GaussianBlur(white, (0, 0), random.uniform(*_COARSE))
            worn = worn + self.grain / max(float(noise.std()), 1e-6) * noise[..., None]
        worn = np.clip(worn + 0.5, 0, 255).astype(np.uint8)
        if self.quality:
            _, jpeg = cv2.imencode(".jpg", worn, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            worn = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
        return worn

    def apply_to_clip(self, clip: Clip) -> Clip:
        """The clip with worn frames."""
        return Footage(clip.identity, _Worn(clip.frames, self), clip.landmarks, clip.kind)


class _Worn(Sequence[np.ndarray]):
    def __init__(self, frames: Sequence[np.ndarray], wear: Degradation):
        self.frames, self.wear = frames, wear

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Any) -> Any:
        return self.wear.apply(self.frames[index], index)


def _craquelure(size: int, random: np.random.Generator) -> np.ndarray:
    """Cracks float32 [size, size], 0 to 1: borders between the places nearest to each of some random points."""
    points = random.integers(size, size=(random.integers(*_ISLES), 2))
    away: np.ndarray = np.ones((size, size), np.uint8)
    away[points[:, 0], points[:, 1]] = 0
    _, nearest = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    cracks = np.zeros((size, size), np.float32)
    cracks[:, 1:] = nearest[:, 1:] != nearest[:, :-1]
    cracks[1:] = np.maximum(cracks[1:], nearest[1:] != nearest[:-1])
    return cv2.GaussianBlur(cracks, (0, 0), 0.5) * cv2.resize(random.random((4, 4), np.float32), (size, size))
