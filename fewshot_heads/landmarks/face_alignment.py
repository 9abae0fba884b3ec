"""FAN landmarks (Bulat and Tzimiropoulos, ICCV 2017), what the 2019 paper used, by the face-alignment package.

That package fetches its weights on first use; where it cannot, the error names the other backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import LEFT_EYE, RIGHT_EYE, Landmarks


class FaceAlignmentDetector:
    """Landmarks by face_alignment with its SFD detector; slow on a CPU (seconds a picture).

    dimensions: 2, or 3 for depth too. device: "cpu", "cuda", "mps". min_confidence: 0 to 1, of the detector.
    network: a ready `face_alignment.FaceAlignment`, instead of making one.
    FAN has no irises: they are put at the centers of the eyes, so gaze does not move with this backend.
    """

    def __init__(
        self, dimensions: int = 2, device: str = "cpu", min_confidence: float = 0.5, network: Any = None
    ) -> None:
        if dimensions not in (2, 3):
            raise BadInput(f"landmarks.dimensions={dimensions}: face_alignment has 2 or 3")
        self._min_confidence = min_confidence
        self._network = network or _load(dimensions, device)

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        """Every face of an uint8 RGB [H, W, 3] picture, the largest first."""
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

    def track(self, image: np.ndarray) -> Landmarks | None:
        """The largest face; FAN has no quicker way for a picture already cut to a head."""
        return next(iter(self.detect(image)), None)


def _away_from_viewer(depth: np.ndarray) -> np.ndarray:
    """Depth with the sign `Landmarks` has: the nose tip is nearer than the temples."""
    return -depth if depth[30] > depth[[0, 16]].mean() else depth


def _load(dimensions: int, device: str) -> Any:
    other = "use landmarks=mediapipe, which needs no download"
    try:
        import face_alignment
    except ImportError as error:
        raise BadInput(f"face_alignment is not installed: pip install face-alignment; or {other}") from error
    kind = face_alignment.LandmarksType
    try:
        return face_alignment.FaceAlignment(
            kind.TWO_D if dimensions == 2 else kind.THREE_D, device=device, compile=False
        )
    except (OSError, RuntimeError, AssertionError) as error:  # no network, a broken download, no such device
        raise BadInput(f"face_alignment could not load its weights on {device} ({error}); {other}") from error
