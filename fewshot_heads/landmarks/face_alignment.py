"""FAN landmarks from the face-alignment package, as in the 2019 paper.

Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?", ICCV 2017.

The package downloads its weights on first use. If the download fails, the error names the other backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import LEFT_EYE, RIGHT_EYE, Landmarks

_WINDOW_RATIO = 1.9  # side of the window that a face is followed in, over the face's last size
_MIN_WINDOW_PIXELS = 32


class FaceAlignmentDetector:
    """Landmarks from FAN with the SFD face detector.

    The backend is slow on a CPU: one image takes seconds. FAN has no irises. Each iris is placed at the center of its
    eye, so the gaze does not move with this backend.

    Args:
        dimensions: 2, or 3 for landmarks with depth.
        device: "cpu", "cuda" or "mps".
        min_confidence: least confidence of the face detector, 0 to 1.
        network: a ready `face_alignment.FaceAlignment`. None loads the network.

    Raises:
        BadInput: if `dimensions` is neither 2 nor 3, or the package or its weights cannot be loaded.
    """

    def __init__(
        self, dimensions: int = 2, device: str = "cpu", min_confidence: float = 0.5, network: Any = None
    ) -> None:
        if dimensions not in (2, 3):
            raise BadInput(f"landmarks.dimensions={dimensions}: expected 2 or 3")
        self._min_confidence = min_confidence
        self._network = network or _load(dimensions, device)

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        """Returns every face of an image, the largest first.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        found, _, boxes = self._network.get_landmarks_from_image(image, return_bboxes=True)
        faces = []
        for points, box in zip(found or [], boxes or [], strict=True):
            confidence = float(box[4])
            if confidence >= self._min_confidence:
                eyes = np.stack([points[RIGHT_EYE].mean(0), points[LEFT_EYE].mean(0)])
                points = np.concatenate([points, eyes]).astype(np.float32)
                depth = _away_from_viewer(points[:, 2]) if points.shape[1] == 3 else None
                faces.append(Landmarks(points[:, :2], depth, confidence))
        return sorted(faces, key=lambda face: -face.size)

    def glance(self, image: np.ndarray) -> Landmarks | None:
        """Returns the largest face of an image, or None.

        FAN has no faster call for an image that is already cut to a head.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        return next(iter(self.detect(image)), None)

    def follow(self, image: np.ndarray, last: Landmarks) -> Landmarks | None:
        """Returns the largest face in a window around its last position, or None.

        Args:
            image: uint8 RGB [H, W, 3].
            last: the face in the frame before, pixels.
        """
        center, half = (last.box[:2] + last.box[2:]) / 2, _WINDOW_RATIO * last.size / 2
        height, width = image.shape[:2]
        left, top = np.clip(center - half, 0, [width, height]).astype(int)
        right, bottom = np.clip(center + half, 0, [width, height]).astype(int)
        if min(right - left, bottom - top) < _MIN_WINDOW_PIXELS:
            return None
        face = self.glance(image[top:bottom, left:right])
        return face and face.moved(np.array([-left, -top], np.float32))


def _away_from_viewer(depth: np.ndarray) -> np.ndarray:
    """Returns depth [70] that grows away from the viewer.

    The nose tip is nearer than the temples, which tells the sign of the network's depth.
    """
    return -depth if depth[30] > depth[[0, 16]].mean() else depth


def _load(dimensions: int, device: str) -> Any:
    """Returns the `face_alignment.FaceAlignment` network.

    Raises:
        BadInput: if the package is not installed, or its weights cannot be loaded on the device.
    """
    other = "use landmarks=mediapipe, which needs no download"
    try:
        import face_alignment
    except ImportError as error:
        remedy = f"pip install 'fewshot_heads[face-alignment]', or {other}"
        raise BadInput(f"face_alignment is not installed: {remedy}") from error
    kind = face_alignment.LandmarksType
    try:
        return face_alignment.FaceAlignment(
            kind.TWO_D if dimensions == 2 else kind.THREE_D, device=device, compile=False
        )
    except (OSError, RuntimeError, AssertionError) as error:  # no network, a broken download, no such device
        raise BadInput(f"face_alignment could not load its weights on {device} ({error}); {other}") from error
