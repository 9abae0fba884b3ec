"""The pixels of a frame around an eye."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks.eye_frame import EyeFrame


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
