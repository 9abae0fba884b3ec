"""Faces made for the tests: the mean head in any pose, with an expression, as landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.geometry import MEAN_HEAD, Pose


def face(turn=(0.0, 0.0, 0.0), scale=60.0, centre=(128.0, 128.0), mouth=0.0, shape=None, depth=True) -> Landmarks:
    """turn: rotation vector (radians); mouth: gap of the inner lips, head units; shape: [70, 3] added."""
    local = MEAN_HEAD.astype(np.float64).copy()
    local[[65, 66, 67], 1] += mouth
    if shape is not None:
        local = local + shape
    rotation = cv2.Rodrigues(np.array(turn, np.float64))[0]
    points = Pose(rotation, np.array([*centre, 0.0]), scale).apply(local).astype(np.float32)
    return Landmarks(points[:, :2], points[:, 2] if depth else None)
