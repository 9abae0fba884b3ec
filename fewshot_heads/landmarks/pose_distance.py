"""Distance between faces by head pose and expression, and the choice of different faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewshot_heads.landmarks import JAW, Landmarks
from fewshot_heads.landmarks.pose import RIGID


def pose_distance(a: Landmarks, b: Landmarks) -> float:
    """Returns how much two faces differ in pose and expression: RMS distance of normalized points.

    The distance is 0 for the same pose and expression at any position and size. The distance is about 0.1 for 20
    degrees of yaw.

    Args:
        a: one face, pixels.
        b: the other face, pixels.
    """
    return float(np.sqrt(((_normalized(a) - _normalized(b)) ** 2).sum(1).mean()))


def farthest_point_sample(faces: Sequence[Landmarks], count: int) -> list[int]:
    """Returns the indices of faces that differ most in pose and expression.

    The first face is the nearest to the median. Each further face is the farthest from those already chosen (Gonzalez,
    "Clustering to Minimize the Maximum Intercluster Distance", TCS 1985).

    Args:
        faces: the faces to choose from, pixels.
        count: number of faces to choose. If there are fewer faces, all are chosen.
    """
    points = np.array([_normalized(face) for face in faces])
    median = np.median(points, axis=0)
    chosen = [int(((points - median) ** 2).sum((1, 2)).argmin())]
    distance2_to_chosen = ((points - points[chosen[0]]) ** 2).sum((1, 2))
    while len(chosen) < min(count, len(faces)):
        chosen.append(int(distance2_to_chosen.argmax()))
        distance2_to_chosen = np.minimum(distance2_to_chosen, ((points - points[chosen[-1]]) ** 2).sum((1, 2)))
    return chosen


def _normalized(landmarks: Landmarks) -> np.ndarray:
    """Returns points [70, 2], centered on the rigid points, in RMS radii of the jaw."""
    points = landmarks.points - landmarks.points[RIGID].mean(0)
    jaw = points[JAW]
    return points / np.sqrt(((jaw - jaw.mean(0)) ** 2).sum(1).mean())
