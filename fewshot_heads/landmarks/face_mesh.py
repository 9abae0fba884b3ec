"""The mesh of the Face Landmarker, and the scores of an expression that go with it.

Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019 (arXiv 1907.06724).
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks.networks import load, sigmoid
from fewshot_heads.landmarks.turned_square import TurnedSquare

_SIZE = 256  # side of the network's input, pixels
# Mesh points that the network of blendshapes sees.
_BLENDSHAPE_POINTS = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249,
    251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314,
    317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382,
    384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473,
    474, 475, 476, 477,
])  # fmt: skip


class FaceMesh:
    """Finds the mesh of a face in the square around it, in about 3 ms."""

    def __init__(self) -> None:
        self._network = load("face_landmarks_detector")

    def __call__(self, image: np.ndarray, square: TurnedSquare) -> tuple[np.ndarray, float]:
        """Returns the mesh, [478, 3] in image pixels, and the confidence that it is a face, 0 to 1.

        Args:
            image: uint8 RGB [H, W, 3].
            square: around the face, as from `FaceDetector`.
        """
        pixels = square.cut(image, _SIZE, cv2.BORDER_REPLICATE).astype(np.float32) / 255
        mesh, presence, _ = self._network(pixels[None])
        return square.to_image(mesh.reshape(-1, 3) / _SIZE), float(sigmoid(presence).item())


def blendshapes(mesh: np.ndarray) -> np.ndarray:
    """Returns the scores of the expression of a mesh, float32 [52], 0 to 1. The first call loads the network.

    Args:
        mesh: [478, 3], image pixels.
    """
    points = mesh[_BLENDSHAPE_POINTS, :2].astype(np.float32)
    (scores,) = load("face_blendshapes")(points[None])
    return scores
