"""Facial landmarks: one value, one protocol, two detectors.

`Landmarks` is what every detector returns and everything else consumes: the 68 iBUG points
and the two irises, in pixels, with depth where the detector knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from fewshot_heads.errors import BadInput

N_POINTS = 70
JAW = slice(0, 17)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
OUTER_LIPS, INNER_LIPS = slice(48, 60), slice(60, 68)
RIGHT_IRIS, LEFT_IRIS = 68, 69


@dataclass(frozen=True)
class Landmarks:
    """One face in one picture.

    points: float32 [70, 2], pixels, x to the right and y down; 68 iBUG points, then the right
        and left iris as the viewer sees them (iBUG order: image left first).
    depth: float32 [70] in the same pixels, larger is farther away; None if unknown.
    confidence: 0 to 1, as the detector reports it.
    """

    points: np.ndarray
    depth: np.ndarray | None = None
    confidence: float = 1.0

    def __post_init__(self) -> None:
        if self.points.shape != (N_POINTS, 2):
            raise ValueError(f"landmarks: got points of shape {self.points.shape}, expected ({N_POINTS}, 2)")

    @property
    def box(self) -> np.ndarray:
        """[4] left, top, right, bottom of the points, pixels."""
        return np.concatenate([self.points.min(0), self.points.max(0)])

    @property
    def size(self) -> float:
        """Larger side of the box, pixels."""
        return float((self.box[2:] - self.box[:2]).max())

    @classmethod
    def from_array(cls, array: np.ndarray, confidence: float = 1.0) -> Landmarks:
        """What `to_array` made; without depth where that is not a number."""
        depth = None if np.isnan(array[:, 2]).any() else array[:, 2].astype(np.float32)
        return cls(array[:, :2].astype(np.float32), depth, confidence)

    def to_array(self) -> np.ndarray:
        """float32 [70, 3] to be stored, depth last; not a number where the detector knew none."""
        depth = np.full(N_POINTS, np.nan) if self.depth is None else self.depth
        return np.column_stack([self.points, depth]).astype(np.float32)

    def moved(self, offset: np.ndarray, scale: float = 1.0) -> Landmarks:
        """The same face after (points - offset) * scale, as a crop and resize would show it."""
        depth = None if self.depth is None else self.depth * np.float32(scale)
        return replace(self, points=((self.points - offset) * scale).astype(np.float32), depth=depth)


class Detector(Protocol):
    """What a landmark backend offers."""

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        """Every face in an uint8 RGB [H, W, 3] picture, the largest first; empty if there is none."""
        ...

    def track(self, image: np.ndarray) -> Landmarks | None:
        """The face of a picture already cut to a head: no search, the quickest call."""
        ...


def detector(backend: str = "mediapipe", **options) -> Detector:
    """The named backend, `mediapipe` or `face_alignment`; `options` go to its constructor."""
    if backend == "mediapipe":
        from fewshot_heads.landmarks.mediapipe import MediaPipeDetector

        return MediaPipeDetector(**options)
    if backend == "face_alignment":
        from fewshot_heads.landmarks.face_alignment import FaceAlignmentDetector

        return FaceAlignmentDetector(**options)
    raise BadInput(f"unknown landmark backend {backend!r}; use 'mediapipe' or 'face_alignment'")


def detectors(backend: str = "mediapipe", **options) -> list[Detector]:
    """As many detectors as the backend can use at once on two cores: two frames of a driver in parallel, or one."""
    return [detector(backend, **options) for _ in range(2 if backend == "mediapipe" else 1)]
