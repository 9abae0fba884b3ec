"""The mesh of the Face Landmarker, and the scores of an expression that go with it.

Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019 (arXiv 1907.06724).
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks.networks import load, sigmoid
from fewshot_heads.landmarks.turned_square import TurnedSquare

_SIZE = 256  # side of the network's input, pixels
# Side of the square that the network sees, over the side of the square that the mesh spans: in the image, and in the
# mirrored image. The network's errors depend on it, so two different ones have the better mean.
_SCALE, _MIRRORED_SCALE = 1.35, 1.6
_TOLERANCE = 0.05  # between two squares, in sides
_MAX_RUNS = 3
_N_SKIN_POINTS = 468  # without the irises
_EYE_CORNERS = 33, 263  # the outer ones
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
    """Finds the mesh of a face in the square around it.

    The network is most exact in the square that its own mesh spans, so it runs again while that square differs from the
    one that it saw. A run takes 3 ms. A face that is followed through a video mostly takes one.
    """

    def __init__(self) -> None:
        self._network = load("face_landmarks_detector")

    def __call__(self, image: np.ndarray, square: TurnedSquare, mirrored: bool = False) -> tuple[np.ndarray, float]:
        """Returns the mesh, [478, 3] in pixels, and the confidence that it is a face, 0 to 1.

        Args:
            image: uint8 RGB [H, W, 3].
            square: around the face, as from `FaceDetector` or `square_around`.
            mirrored: whether the network sees the mirrored image. Square and mesh are in pixels of that image then.
        """
        for _ in range(_MAX_RUNS):
            mesh, confidence = self.run(image, square, mirrored)
            own = square_around(mesh[:_N_SKIN_POINTS], *_EYE_CORNERS, mirrored)
            if not own.differs(square, _TOLERANCE):
                break
            square = own
        return mesh, confidence

    def run(self, image: np.ndarray, square: TurnedSquare, mirrored: bool = False) -> tuple[np.ndarray, float]:
        """Returns mesh and confidence as the network sees them in this square, as in the call."""
        pixels = square.cut(image, _SIZE, cv2.BORDER_REPLICATE, mirrored)
        mesh, presence, _ = self._network(np.divide(pixels, 255, dtype=np.float32)[None])
        return square.to_image(mesh.reshape(-1, 3) / _SIZE), float(sigmoid(presence).item())


def square_around(points: np.ndarray, right_eye: int, left_eye: int, mirrored: bool = False) -> TurnedSquare:
    """Returns the square in which the network sees a face, whose x axis is the line of the eyes.

    Args:
        points: [N, 2 or 3] of the face, pixels.
        right_eye: index of a corner of this eye.
        left_eye: index of the same corner of the other eye.
        mirrored: whether the square is for the mirrored image.
    """
    x, y = points[left_eye, :2] - points[right_eye, :2]
    square = TurnedSquare.spanned(points[:, :2], float(np.arctan2(y, x)))
    return square._replace(side=(_MIRRORED_SCALE if mirrored else _SCALE) * square.side)


def blendshapes(mesh: np.ndarray) -> np.ndarray:
    """Returns the scores of the expression of a mesh, float32 [52], 0 to 1. The first call loads the network.

    Args:
        mesh: [478, 3], image pixels.
    """
    points = mesh[_BLENDSHAPE_POINTS, :2].astype(np.float32)
    (scores,) = load("face_blendshapes")(points[None])
    return scores
