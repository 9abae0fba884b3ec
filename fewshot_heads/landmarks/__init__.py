"""Facial landmarks: one value, one protocol, two detectors.

`Landmarks` is what every detector returns and everything else consumes: the 68 iBUG points
and the two irises, in pixels, with depth and the skin between them where the detector knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from fewshot_heads.errors import BadInput

N_POINTS = 70
N_SURFACE = 151  # points of the skin between them; see `geometry.MEAN_SURFACE`
JAW = slice(0, 17)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
OUTER_LIPS, INNER_LIPS = slice(48, 60), slice(60, 68)
RIGHT_IRIS, LEFT_IRIS = 68, 69
# Each point's partner on the face's other side, which a mirror shows in its place.
MIRROR = np.r_[
    16:-1:-1, 26:16:-1, 27:31, 35:30:-1, 45:41:-1, 47, 46, 39:35:-1, 41, 40,
    54:47:-1, 59:54:-1, 64:59:-1, 67:64:-1, 69, 68,
]  # fmt: skip


@dataclass(frozen=True)
class Landmarks:
    """One face in one picture.

    points: float32 [70, 2], pixels, x to the right and y down; 68 iBUG points, then the right
        and left iris as the viewer sees them (iBUG order: image left first).
    depth: float32 [70] in the same pixels, larger is farther away; None if unknown.
    confidence: 0 to 1, as the detector reports it.
    surface: float32 [151, 3], more points of forehead, cheeks, nose and chin (pixels, depth last); None if unknown.
    """

    points: np.ndarray
    depth: np.ndarray | None = None
    confidence: float = 1.0
    surface: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.points.shape != (N_POINTS, 2):
            raise ValueError(f"landmarks: got points of shape {self.points.shape}, expected ({N_POINTS}, 2)")
        if self.surface is not None and self.surface.shape != (N_SURFACE, 3):
            raise ValueError(f"landmarks: got a surface of shape {self.surface.shape}, expected ({N_SURFACE}, 3)")

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
        array = array.astype(np.float32)
        points, surface = array[:N_POINTS], array[N_POINTS:] if len(array) > N_POINTS else None
        depth = None if np.isnan(points[:, 2]).any() else points[:, 2]
        return cls(points[:, :2], depth, confidence, surface)

    def to_array(self) -> np.ndarray:
        """float32 [70, 3] to be stored, depth last (not a number where the detector knew none); or [221, 3] with the
        surface."""
        depth = np.full(N_POINTS, np.nan) if self.depth is None else self.depth
        points = np.column_stack([self.points, depth])
        return (points if self.surface is None else np.vstack([points, self.surface])).astype(np.float32)

    def moved(self, offset: np.ndarray, scale: float = 1.0) -> Landmarks:
        """The same face after (points - offset) * scale, as a crop and resize would show it."""
        depth = None if self.depth is None else self.depth * np.float32(scale)
        surface = self.surface
        if surface is not None:
            surface = ((surface - np.append(offset, 0)) * scale).astype(np.float32)
        return replace(self, points=((self.points - offset) * scale).astype(np.float32), depth=depth, surface=surface)


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
