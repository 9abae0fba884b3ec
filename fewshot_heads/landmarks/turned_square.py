"""A square of an image, which may be turned: what a network looks at."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np


class TurnedSquare(NamedTuple):
    """A square, which may reach over the edges of its image.

    Attributes:
        center: [2], pixels of the image.
        side: pixels of the image.
        angle: from the x axis of the image toward its y axis, radians.
    """

    center: np.ndarray
    side: float
    angle: float = 0.0

    @classmethod
    def around(cls, image: np.ndarray) -> TurnedSquare:
        """Returns the smallest upright square that holds an image [H, W, 3]."""
        height, width = image.shape[:2]
        return cls(np.array([width, height]) / 2, max(height, width))

    @classmethod
    def spanned(cls, points: np.ndarray, angle: float) -> TurnedSquare:
        """Returns the smallest square at an angle that holds points.

        Args:
            points: [N, 2], pixels.
            angle: radians.
        """
        axes = cls(np.zeros(2), 1.0, angle)._axes()
        turned = points @ axes.T
        low, high = turned.min(0), turned.max(0)
        return cls((low + high) / 2 @ axes, float((high - low).max()), angle)

    def differs(self, other: TurnedSquare, tolerance: float) -> bool:
        """Returns whether a corner is farther from the other square's than a tolerance, in sides."""
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        distances = np.linalg.norm(self.to_image(corners) - other.to_image(corners), axis=1)
        return bool(distances.max() > tolerance * self.side)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Returns points [N, 2 or 3] in pixels of the image.

        Args:
            points: [N, 2 or 3], 0 to 1 from edge to edge of the square. A third coordinate is only scaled.
        """
        moved = points * self.side
        moved[:, :2] = (points[:, :2] - 0.5) @ self._axes() * self.side + self.center
        return moved

    def cut(self, image: np.ndarray, size: int, border: int, mirrored: bool = False) -> np.ndarray:
        """Returns the square as an image, uint8 [size, size, 3].

        Pixels are sampled without a low-pass filter, as the networks are used to.

        Args:
            image: uint8 RGB [H, W, 3].
            size: side of the result, pixels.
            border: border mode of OpenCV outside of the image.
            mirrored: whether the square lies in the horizontally mirrored image.
        """
        axes = self._axes().T * self.side / size
        matrix = np.column_stack([axes, self.center - axes.sum(1) * size / 2])
        if mirrored:
            matrix[0] = [0, 0, image.shape[1] - 1] - matrix[0]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=border)

    def _axes(self) -> np.ndarray:
        """Returns the x axis and the y axis of the square in its image, [2, 2]."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cosine, sine], [-sine, cosine]])
