"""Faces made for the tests: the mean head in any pose, with an expression, as landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, Pose


def face(
    turn=(0.0, 0.0, 0.0), scale=60.0, center=(128.0, 128.0), mouth=0.0, shape=None, depth=True, surface=None
) -> Landmarks:
    """turn: rotation vector (radians); mouth: gap of the inner lips, head units; shape: [70, 3] added.

    surface: [151, 3] added to the mean head's, or 0; None is a face without it.
    """
    local = MEAN_HEAD.astype(np.float64).copy()
    local[[65, 66, 67], 1] += mouth
    if shape is not None:
        local = local + shape
    rotation = cv2.Rodrigues(np.array(turn, np.float64))[0]
    pose = Pose(rotation, np.array([*center, 0.0]), scale)
    points = pose.apply(local).astype(np.float32)
    skin = None if surface is None else pose.apply(MEAN_SURFACE + surface).astype(np.float32)
    return Landmarks(points[:, :2], points[:, 2] if depth else None, surface=skin)
