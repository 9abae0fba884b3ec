"""How differently faces look at the camera and move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewshot_heads.landmarks import JAW, Landmarks
from fewshot_heads.landmarks.pose import RIGID


def pose_distance(a: Landmarks, b: Landmarks) -> float:
    """How differently two faces look at the camera and move: RMS over the normalized, centered points.

    0 for the same pose and expression at any place and size; about 0.1 for 20 degrees of turn.
    """
    return float(np.sqrt(((_normalized(a) - _normalized(b)) ** 2).sum(1).mean()))


def farthest_point_sample(faces: Sequence[Landmarks], count: int) -> list[int]:
    """Indices of `count` faces that differ: the most ordinary one first, then always the farthest from those chosen."""
    points = np.array([_normalized(face) for face in faces])
    ordinary = np.median(points, axis=0)
    chosen = [int(((points - ordinary) ** 2).sum((1, 2)).argmin())]
    nearest = ((points - points[chosen[0]]) ** 2).sum((1, 2))
    while len(chosen) < min(count, len(faces)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum((1, 2)))
    return chosen


def _normalized(landmarks: Landmarks) -> np.ndarray:
    points = landmarks.points - landmarks.points[RIGID].mean(0)
    jaw = points[JAW]
    return points / np.sqrt(((jaw - jaw.mean(0)) ** 2).sum(1).mean())
