"""A face split into rigid pose and shape in the head's own frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import Pose, fit_pose, landmarks_3d

UPPER_INNER_LIP, LOWER_INNER_LIP = np.array([61, 62, 63]), np.array([67, 66, 65])


def lip_gap(local: np.ndarray) -> float:
    """Mean signed gap of the inner lips of local [70, 3], head units."""
    return float((local[LOWER_INNER_LIP, 1] - local[UPPER_INNER_LIP, 1]).mean())


@dataclass(frozen=True)
class CanonicalFace:
    """Landmarks split into rigid pose and local shape in the head's frame, [70, 3] or with the surface [221, 3]."""

    pose: Pose
    shape: np.ndarray

    @classmethod
    def of(cls, landmarks: Landmarks) -> CanonicalFace:
        pose = fit_pose(landmarks)
        return cls(pose, pose.undo(landmarks_3d(landmarks, pose)))

    def eye_opening(self, eye: slice) -> float:
        """Height of the eye over its width: about 0.3 open, under 0.1 closed."""
        p = self.shape[eye, :2]
        height = np.linalg.norm(p[1] - p[5]) + np.linalg.norm(p[2] - p[4])
        return float(height / (2 * np.linalg.norm(p[0] - p[3])))

    def mouth_width(self) -> float:
        return float(np.linalg.norm(self.shape[48] - self.shape[54]))

    def mouth_opening(self) -> float:
        """Gap of the inner lips over the mouth's width; 0 is closed, for everyone."""
        return lip_gap(self.shape) / self.mouth_width()
