"""Pastes the head back into the source image, with a feathered seam and without a drift of colors."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fewshot_heads.landmarks.crop import Crop

_PERSON_SEAM_CROP_FRACTION = 0.10  # width of the seam where a person crosses the crop's border
# Width of the seam on background, which does not move. A wider seam would fade hair that ends just inside the crop.
_BACKGROUND_SEAM_CROP_FRACTION = 0.02
_DRIFT_LEVELS = (0.5, 12.0)  # of colors; less is rounding, and more is something else that is seen
_COLOR_MATCH_PIXELS = 32  # resolution at which colors are compared
_COLOR_MATCH_CROP_FRACTION = 0.15  # width of the frame's rim whose colors are compared


class Paster:
    """Pastes frames into one crop of one image; the seam is computed once."""

    def __init__(self, picture: np.ndarray, crop: Crop, matte: np.ndarray):
        """Precomputes the seam.

        Args:
            picture: uint8 [H, W, 3], the source image.
            crop: position of the frames, which may reach beyond the image.
            matte: float32 [S, S], 0 to 1, the person in the crop.
        """
        self.picture = picture
        height, width = picture.shape[:2]
        left, top = round(crop.left), round(crop.top)
        right, bottom = round(crop.left + crop.side), round(crop.top + crop.side)
        self._size = (right - left, bottom - top)
        outer = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
        self._box = np.s_[outer[1] : outer[3], outer[0] : outer[2]]  # in the image
        self._part = np.s_[outer[1] - top : outer[3] - top, outer[0] - left : outer[2] - left]  # of the crop
        self._original = _small(crop.cut(picture).astype(np.float32))
        # At a border of the image there is nothing to blend with.
        open_sides = (left > 0, top > 0, right < width, bottom < height)
        widths = _seam_widths(matte, self._size)
        self._alpha = _feather(self._size, open_sides, widths)[self._part]
        rim = [np.full(_COLOR_MATCH_PIXELS, _COLOR_MATCH_CROP_FRACTION)] * 4
        self._rim = _feather((_COLOR_MATCH_PIXELS, _COLOR_MATCH_PIXELS), open_sides, rim) < 0.5

    def paste(self, frame: np.ndarray) -> np.ndarray:
        """Returns the image uint8 [H, W, 3] with new content in the crop.

        Args:
            frame: uint8 [R, R, 3], the new content.
        """
        resized = cv2.resize(self._match(frame), self._size, interpolation=cv2.INTER_CUBIC)[self._part]
        result = self.picture.copy()
        result[self._box] = cv2.blendLinear(resized, result[self._box], self._alpha, 1 - self._alpha)
        return result

    def _match(self, frame: np.ndarray) -> np.ndarray:
        """Returns the frame without a difference of all colors from the image's, uint8 [R, R, 3].

        The median over the rim tells it, in which a head that moves is a small part.
        """
        if not self._rim.any():
            return frame
        drift = np.median((self._original - _small(frame))[self._rim], 0)
        has_drifted = _DRIFT_LEVELS[0] < np.abs(drift).max() < _DRIFT_LEVELS[1]
        return cv2.add(frame, np.append(drift, 0.0)) if has_drifted else frame


def _small(image: np.ndarray) -> np.ndarray:
    """Returns an image at the resolution of color matching."""
    return cv2.resize(image, (_COLOR_MATCH_PIXELS, _COLOR_MATCH_PIXELS), interpolation=cv2.INTER_AREA)


def _seam_widths(matte: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Returns the widths of the seam at left, top, right and bottom, fractions of the crop.

    Args:
        matte: float32 [S, S], 0 to 1, the person in the crop.
        size: width and height of the crop, pixels. Each side has one width for each pixel.
    """
    reach = round(_BACKGROUND_SEAM_CROP_FRACTION * len(matte)) + 1
    edges = matte[:, :reach].max(1), matte[:reach].max(0), matte[:, -reach:].max(1), matte[-reach:].max(0)
    widths = []
    for edge, length in zip(edges, size[::-1] * 2, strict=True):
        person = cv2.GaussianBlur(edge[None], (0, 0), _PERSON_SEAM_CROP_FRACTION / 2 * len(edge))
        extra_width = _PERSON_SEAM_CROP_FRACTION - _BACKGROUND_SEAM_CROP_FRACTION
        widths.append(_BACKGROUND_SEAM_CROP_FRACTION + extra_width * cv2.resize(person, (length, 1))[0])
    return widths


def _feather(
    size: tuple[int, int], open_sides: tuple[bool, bool, bool, bool], widths: Sequence[np.ndarray]
) -> np.ndarray:
    """Returns a mask float32 [h, w] that is 1 inside and falls smoothly to 0 at open sides.

    Args:
        size: w and h, pixels.
        open_sides: whether the left, top, right and bottom side is blended.
        widths: of the seam along these sides, each [h] or [w], fractions of the size.
    """
    x, y = ((np.arange(length) + 0.5) / length for length in size)
    distances = (x[None], y[:, None], 1 - x[None], 1 - y[:, None])
    left, top, right, bottom = widths
    seam_widths = (left[:, None], top[None], right[:, None], bottom[None])
    alpha = np.ones(size[::-1])
    for is_open, distance, width in zip(open_sides, distances, seam_widths, strict=True):
        if is_open:
            alpha *= np.clip(distance / width, 0, 1)
    return (alpha * alpha * (3 - 2 * alpha)).astype(np.float32)
