"""An eye's own coordinates in a frame, and the pixels around it."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks.aspect_ratio import LOWER_LID, UPPER_LID, eye_axes


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


class EyePatch:
    """The pixels of a frame around one eye, which are redrawn.

    Args:
        frame: uint8 [H, W, 3].
        eye: the eye in the frame.
        top: height above which nothing is drawn, of the eye.
        bottom: height below which nothing is drawn, of the eye.

    Attributes:
        along: [h, w], of each pixel. The patch may have no pixel.
        down: [h, w], of each pixel.
        result: the frame with what was drawn, uint8 [H, W, 3].
    """

    def __init__(self, frame: np.ndarray, eye: EyeFrame, top: float, bottom: float):
        box = eye.to_image(*np.meshgrid([0, eye.width], [top, bottom])).reshape(4, 2)
        limits = np.clip([box.min(0), box.max(0) + 1], 0, frame.shape[1::-1]).astype(int)
        (left, upper), (right, lower) = limits
        self._frame, self._eye, self._window = frame, eye, np.s_[upper:lower, left:right]
        pixels = np.stack(np.meshgrid(np.arange(left, right), np.arange(upper, lower)), -1) + 0.5
        self.along, self.down = np.moveaxis(eye.to_eye(pixels), -1, 0)
        self.result = frame.copy()

    def draw(self, along: np.ndarray, down: np.ndarray, alpha: np.ndarray) -> None:
        """Draws places of the frame.

        Args:
            along: [h, w], where each pixel comes from.
            down: [h, w], likewise.
            alpha: [h, w], 0 to 1. Nothing is drawn beyond the corners.
        """
        if not alpha.size:
            return
        x, y = np.moveaxis(self._eye.to_image(along, down) - 0.5, -1, 0).astype(np.float32)
        drawn = cv2.remap(self._frame, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self.paint(drawn, alpha)

    def paint(self, color: np.ndarray, alpha: np.ndarray) -> None:
        """Draws one color.

        Args:
            color: [3], 0 to 255, or [h, w, 3].
            alpha: [h, w], 0 to 1. Nothing is drawn beyond the corners.
        """
        if not alpha.size:
            return
        inside = (self.along > 0) & (self.along < self._eye.width)
        behind = self.result[self._window].astype(np.float32)
        self.result[self._window] = behind + np.where(inside, alpha, 0)[..., None] * (color - behind) + 0.5


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
