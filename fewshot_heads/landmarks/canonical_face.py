"""Landmarks of a face without its rigid pose, in the head's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewshot_heads.landmarks import LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER, Landmarks
from fewshot_heads.landmarks.aspect_ratio import lip_gap, unsigned_eye_aspect_ratio
from fewshot_heads.landmarks.pose import Pose, fit_pose, landmarks_3d


@dataclass(frozen=True)
class CanonicalFace:
    """Landmarks split into a rigid pose and a shape in the head's frame.

    Attributes:
        pose: map from head units to pixels.
        shape: float64 [70, 3] or, with the surface, [221, 3], head units: the landmarks in a frontal pose.
    """

    pose: Pose
    shape: np.ndarray

    @classmethod
    def of(cls, landmarks: Landmarks) -> CanonicalFace:
        """Returns the pose and the shape of a face.

        Args:
            landmarks: the face, pixels.
        """
        pose = fit_pose(landmarks)
        return cls(pose, pose.undo(landmarks_3d(landmarks, pose)))

    def eye_opening(self, eye: slice) -> float:
        """Returns the eye's aspect ratio: about 0.3 open, under 0.1 closed.

        Args:
            eye: `RIGHT_EYE` or `LEFT_EYE` of `landmarks`.
        """
        return unsigned_eye_aspect_ratio(self.shape[eye, :2])

    def mouth_width(self) -> float:
        """Returns the distance of the mouth's corners, head units."""
        return float(np.linalg.norm(self.shape[RIGHT_MOUTH_CORNER] - self.shape[LEFT_MOUTH_CORNER]))

    def mouth_opening(self) -> float:
        """Returns the mouth's aspect ratio: vertical inner lip gap over mouth width, 0 if closed."""
        return lip_gap(self.shape) / self.mouth_width()
