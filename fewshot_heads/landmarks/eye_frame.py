"""An eye's own coordinates."""

from __future__ import annotations

import numpy as np

from fewshot_heads.landmarks.aspect_ratio import LOWER_LID, UPPER_LID, eye_axes

_BROW_SHARE = 0.6  # of the way from the eye to its brow: the skin that an upper lid unfolds
_MIN_SKIN_EYE_WIDTHS = 0.15  # height of that skin, at least


class EyeFrame:
    """Coordinates of one eye: along from its first corner to the other, and down across it, pixels.

    Args:
        eye: [6, 2], pixels of an image, in iBUG order.

    Attributes:
        width: distance of the corners.
        gap: mean distance of the lids.
    """

    def __init__(self, eye: np.ndarray):
        self._corner, self._axes = eye[0].astype(float), np.stack(eye_axes(eye), 1)
        self.width = float(self.to_eye(eye[3])[0])
        self._upper, self._lower = self.to_eye(eye[UPPER_LID]), self.to_eye(eye[LOWER_LID])
        self.gap = float((self._lower - self._upper)[:, 1].mean())

    def to_eye(self, points: np.ndarray) -> np.ndarray:
        """Returns points [..., 2] of the image as along and down."""
        return (points - self._corner) @ self._axes

    def to_image(self, along: np.ndarray, down: np.ndarray) -> np.ndarray:
        """Returns places of the eye as points [..., 2] of the image."""
        return self._corner + np.stack([along, down], -1) @ self._axes.T

    def lids(self, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the heights of the upper and the lower lid at places along the eye."""
        return _lid_curve(self._upper, self.width, along), _lid_curve(self._lower, self.width, along)

    def skin_top(self, brow: np.ndarray, along: np.ndarray) -> np.ndarray:
        """Returns the height at which the skin that the upper lid unfolds begins, at places along the eye.

        Args:
            brow: [5, 2], pixels of the image.
            along: places, pixels from the first corner.
        """
        brow = self.to_eye(brow)
        below_brow = _BROW_SHARE * np.interp(along, *brow[brow[:, 0].argsort()].T)
        return np.minimum(below_brow, self.lids(along)[0] - _MIN_SKIN_EYE_WIDTHS * self.width)


def _lid_curve(lid: np.ndarray, width: float, along: np.ndarray) -> np.ndarray:
    """Returns a lid's height along the eye: a cubic through two lid points and the corners.

    Args:
        lid: [2, 2], the two points, along and down from the first corner, pixels.
        width: of the eye, pixels.
        along: positions, pixels from the first corner.
    """
    x = np.clip(lid[:, 0] / width, [0.1, 0.55], [0.45, 0.9])
    height = lid[:, 1] / (x * (1 - x))
    t = np.clip(along / width, 0, 1)
    return t * (1 - t) * (height[0] + (height[1] - height[0]) * (t - x[0]) / (x[1] - x[0]))
