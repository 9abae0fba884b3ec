"""Facial landmarks: one data class, one detector protocol and two detectors.

Every detector returns `Landmarks`, and every other module reads them. They hold the 68 iBUG points and two irises in
pixels. A detector that measures depth adds the depth of these points and 151 points of the skin between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fewshot_heads.errors import BadInput

N_POINTS = 70
N_SURFACE = 151  # points of the skin between the landmarks; see `landmarks.pose.MEAN_SURFACE`
JAW, BROWS = slice(0, 17), slice(17, 27)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
OUTER_LIPS, INNER_LIPS, LIPS = slice(48, 60), slice(60, 68), slice(48, 68)
# Inner lip points without the corners, paired: each upper point and the lower point below it.
UPPER_INNER_LIP, LOWER_INNER_LIP = np.array([61, 62, 63]), np.array([67, 66, 65])
RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 48, 54
RIGHT_IRIS, LEFT_IRIS = 68, 69
# For each point, the point on the other side of the face, which replaces the first in a mirrored image.
MIRROR = np.r_[
    16:-1:-1, 26:16:-1, 27:31, 35:30:-1, 45:41:-1, 47, 46, 39:35:-1, 41, 40,
    54:47:-1, 59:54:-1, 64:59:-1, 67:64:-1, 69, 68,
]  # fmt: skip


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of one face in one image.

    Attributes:
        points: float32 [70, 2], pixels, x to the right and y down. The 68 iBUG points come first. The irises follow:
            "right" and "left" as iBUG has them, so the right eye is on the left of the image.
        depth: float32 [70], pixels, larger is farther from the viewer. None if the detector does not measure depth.
        confidence: detector's confidence, 0 to 1.
        surface: float32 [151, 3], pixels, depth last: points of forehead, cheeks, nose and chin. None if unknown.

    Raises:
        BadInput: if an array has another shape, NaN or infinity.
    """

    points: np.ndarray
    depth: np.ndarray | None = None
    confidence: float = 1.0
    surface: np.ndarray | None = None

    def __post_init__(self) -> None:
        shapes = {"points": (N_POINTS, 2), "depth": (N_POINTS,), "surface": (N_SURFACE, 3)}
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is None and name != "points":
                continue
            if array.shape != shape:
                raise BadInput(f"landmarks: got {name} of shape {array.shape}, expected {shape}")
            if not np.isfinite(array).all():
                raise BadInput(f"landmarks: got {name} with NaN or infinity, expected pixels")

    @property
    def box(self) -> np.ndarray:
        """Bounding box of the points, [4]: left, top, right, bottom, pixels."""
        return np.concatenate([self.points.min(0), self.points.max(0)])

    @property
    def size(self) -> float:
        """Larger side of the bounding box, pixels."""
        return float((self.box[2:] - self.box[:2]).max())

    @property
    def has_depth(self) -> bool:
        """Whether the detector measured the depth of the points."""
        return self.depth is not None

    @property
    def has_surface(self) -> bool:
        """Whether the detector measured the points of the skin."""
        return self.surface is not None

    @classmethod
    def from_array(cls, array: np.ndarray, confidence: float = 1.0) -> Landmarks:
        """Returns the landmarks that `to_array` stored.

        Args:
            array: [70, 3] or, with the surface, [221, 3]. A NaN among the depths of the first 70 means no depth.
            confidence: detector's confidence, 0 to 1.
        """
        array = array.astype(np.float32)
        points, surface = array[:N_POINTS], array[N_POINTS:] if len(array) > N_POINTS else None
        depth = None if np.isnan(points[:, 2]).any() else points[:, 2]
        return cls(points[:, :2], depth, confidence, surface)

    def to_array(self) -> np.ndarray:
        """Returns the array to store, float32 [70, 3] or, with the surface, [221, 3].

        Depth is the last column. The depth of the 70 landmarks is NaN if the detector measured none.
        """
        depth = np.full(N_POINTS, np.nan) if self.depth is None else self.depth
        points = np.column_stack([self.points, depth])
        return (points if self.surface is None else np.vstack([points, self.surface])).astype(np.float32)

    def moved(self, offset: np.ndarray, scale: float = 1.0) -> Landmarks:
        """Returns the face at (points - offset) * scale, as after crop and resize.

        Args:
            offset: [2], pixels: x and y of the new origin.
            scale: new pixels per old pixel. Depth is scaled too.
        """
        depth = None if self.depth is None else self.depth * np.float32(scale)
        surface = self.surface
        if surface is not None:
            surface = ((surface - np.append(offset, 0)) * scale).astype(np.float32)
        return replace(self, points=((self.points - offset) * scale).astype(np.float32), depth=depth, surface=surface)


class Detector(Protocol):
    """Interface of a landmark backend."""

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        """Returns every face of an image, the largest first.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        ...

    def glance(self, image: np.ndarray) -> Landmarks | None:
        """Returns about where the face is in an image that is already cut to a head, or None. It is no search.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        ...

    def follow(self, image: np.ndarray, last: Landmarks) -> Landmarks | None:
        """Returns a face near its last position, or None, as exactly as `detect` and much faster.

        Args:
            image: uint8 RGB [H, W, 3].
            last: the face in the frame before, or from `glance`, pixels.
        """
        ...


def detector(backend: str = "mediapipe", **options: Any) -> Detector:
    """Returns a new detector of the named backend.

    Args:
        backend: "mediapipe" or "face_alignment".
        **options: arguments of the backend's constructor.

    Raises:
        BadInput: if the backend is unknown or cannot be loaded.
    """
    if backend == "mediapipe":
        from fewshot_heads.landmarks.mediapipe import MediaPipeDetector

        return MediaPipeDetector(**options)
    if backend == "face_alignment":
        from fewshot_heads.landmarks.face_alignment import FaceAlignmentDetector

        return FaceAlignmentDetector(**options)
    raise BadInput(f"unknown landmark backend {backend!r}; use 'mediapipe' or 'face_alignment'")


def detectors(backend: str = "mediapipe", count: int = 2, **options: Any) -> list[Detector]:
    """Returns as many detectors as the backend can run in parallel on two cores.

    Args:
        backend: "mediapipe" gives `count` detectors, "face_alignment" gives one.
        count: number of detectors, at most; the default is for two cores.
        **options: arguments of the backend's constructor.

    Raises:
        BadInput: if the backend is unknown or cannot be loaded.
    """
    return [detector(backend, **options) for _ in range(count if backend == "mediapipe" else 1)]
