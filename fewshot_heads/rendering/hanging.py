"""What hangs from a head: hair below the ears and the face, which does not turn with the head."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import LOBES, fit_pose, landmarks_3d

_MAX_ROLL_COSINE = 0.5  # a head that rolls more is measured as one that rolls by 60 degrees
_COLUMN_BLUR_HEAD_UNITS = 0.1  # standard deviation
_SOFTNESS_HEAD_UNITS = 0.2  # the length begins slowly, so that a chin and its shadow stay together


def hanging_lengths(points: np.ndarray, face: Landmarks, size: int) -> np.ndarray:
    """Returns how far points are below the ears' lobes and below the face, float32 [N], pixels.

    Args:
        points: [N, 2], pixels of the crop.
        face: landmarks, pixels of the crop.
        size: side of the crop, pixels.
    """
    pose, columns = fit_pose(face), np.arange(size) + 0.5
    (x, y), (across, down) = pose.apply(LOBES)[0, :2], pose.rotation[:2, 1]
    lobes = y - (columns - x) * across / max(down, _MAX_ROLL_COSINE)
    hull = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(landmarks_3d(face)[:, :2].round().astype(np.int32)), 1)
    face_bottom = np.where(hull.any(0), size - hull[::-1].argmax(0), -np.inf)
    lowest = np.maximum(lobes, face_bottom).astype(np.float32)
    lowest = cv2.GaussianBlur(lowest[None], (0, 0), _COLUMN_BLUR_HEAD_UNITS * pose.scale)[0]
    length = np.maximum(points[:, 1] - np.interp(points[:, 0], columns, lowest), 0)
    softness = _SOFTNESS_HEAD_UNITS * pose.scale
    return (np.hypot(length, softness) - softness).astype(np.float32)
