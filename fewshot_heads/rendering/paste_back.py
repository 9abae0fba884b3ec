"""The moving head back in the whole picture: a feathered seam, its colors matched to the surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fewshot_heads.imaging.segmentation import person_matte
from fewshot_heads.landmarks.crop import Crop

_FEATHER = 0.10  # width of the seam, as a share of the crop's side, where a person crosses it
_NARROW = 0.02  # and where background does, which stays: hair that ends just inside the crop must not be feathered away
_MATCH_SIZE = 32  # color differences are measured and spread at this resolution
_MATCH_LIMIT = 12.0  # 8-bit levels; more than that is a head that moved, not a color that drifted


class Paster:
    """Pastes frames of one crop into one picture; all that depends on the two alone is computed once."""

    def __init__(self, picture: np.ndarray, crop: Crop):
        """picture: uint8 [H, W, 3]; crop: where the frames belong, possibly beyond the picture's edges."""
        self.picture = picture
        height, width = picture.shape[:2]
        left, top = round(crop.left), round(crop.top)
        right, bottom = round(crop.left + crop.side), round(crop.top + crop.side)
        self._size = (right - left, bottom - top)
        outer = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
        self._place = np.s_[outer[1] : outer[3], outer[0] : outer[2]]
        self._part = np.s_[outer[1] - top : outer[3] - top, outer[0] - left : outer[2] - left]
        original = crop.cut(picture)
        self._original = original.astype(np.float32)
        # An edge of the crop that is also the picture's edge has nothing to be blended into.
        open_sides = (left > 0, top > 0, right < width, bottom < height)
        widths = _widths(person_matte(original), self._size)
        self._alpha = _feather(self._size, open_sides, widths)[self._part][..., None]
        seam = 1 - _feather((_MATCH_SIZE, _MATCH_SIZE), open_sides, [np.full(_MATCH_SIZE, 1.5 * _FEATHER)] * 4)
        self._seam = (seam * (1 - seam) * 4)[..., None] if seam.any() else None

    def paste(self, frame: np.ndarray) -> np.ndarray:
        """frame uint8 [R, R, 3], the crop's new content; returns a new picture uint8 [H, W, 3]."""
        matched = self._match(frame)
        resized = cv2.resize(matched, self._size, interpolation=cv2.INTER_CUBIC)[self._part]
        result = self.picture.copy()
        under = result[self._place]
        result[self._place] = np.clip(under + self._alpha * (resized - under) + 0.5, 0, 255)
        return result

    def _match(self, frame: np.ndarray) -> np.ndarray:
        """Takes out the slow color difference along the seam (a membrane, at low resolution)."""
        result = frame.astype(np.float32)
        if self._seam is None:
            return result
        original = _small(self._original)
        difference = np.clip(original - _small(result), -_MATCH_LIMIT, _MATCH_LIMIT)
        spread = cv2.GaussianBlur(difference * self._seam, (0, 0), 3)
        share = cv2.GaussianBlur(self._seam, (0, 0), 3)[..., None] + 1e-3
        correction = spread / share * np.minimum(share * 4, 1)
        return result + cv2.resize(correction, result.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (_MATCH_SIZE, _MATCH_SIZE), interpolation=cv2.INTER_AREA)


def _widths(matte: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Of the seam at the left, top, right and bottom, where a crop has the matte [S, S], for each pixel along that side
    of its (width, height)."""
    reach = round(_NARROW * len(matte)) + 1
    edges = matte[:, :reach].max(1), matte[:reach].max(0), matte[:, -reach:].max(1), matte[-reach:].max(0)
    widths = []
    for edge, length in zip(edges, size[::-1] * 2, strict=True):
        crossed = cv2.GaussianBlur(edge[None], (0, 0), _FEATHER / 2 * len(edge))
        widths.append(_NARROW + (_FEATHER - _NARROW) * cv2.resize(crossed, (length, 1))[0])
    return widths


def _feather(
    size: tuple[int, int], open_sides: tuple[bool, bool, bool, bool], widths: Sequence[np.ndarray]
) -> np.ndarray:
    """float32 [h, w]: 1 inside, smoothly to 0 at the open sides (left, top, right, bottom) over their widths."""
    x, y = ((np.arange(length) + 0.5) / length for length in size)
    ways = (x[None], y[:, None], 1 - x[None], 1 - y[:, None])
    left, top, right, bottom = widths
    shares = (left[:, None], top[None], right[:, None], bottom[None])
    alpha = np.ones(size[::-1])
    for is_open, way, share in zip(open_sides, ways, shares, strict=True):
        if is_open:
            alpha *= np.clip(way / share, 0, 1)
    return (alpha * alpha * (3 - 2 * alpha)).astype(np.float32)
