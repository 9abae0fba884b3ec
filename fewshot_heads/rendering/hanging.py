"""What hangs from a head: hair below the ears and the face, which does not turn with the head, or behind the neck."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import LOBES, below_lobes, fit_pose, landmarks_3d

_MAX_ROLL_COSINE = 0.5  # a head that rolls more is measured as one that rolls by 60 degrees
_COLUMN_BLUR_HEAD_UNITS = 0.1  # standard deviation
_SOFTNESS_HEAD_UNITS = 0.2  # the length begins slowly, so that a chin and its shadow stay together
_OPAQUE = 0.3
# Between the first and the second value, hair is counted more and more as hanging behind the neck, or less and less.
_ASIDE_HEAD_UNITS = (0.45, 0.55)  # from the middle of the face
_LENGTH_HEAD_UNITS = (1.25, 1.5)  # below the lobes: longer hair falls on the chest
_TURN_SINE = (0.25, 0.45)  # of the head in its image, which then shows hair behind the neck on one side only
_JAW_MARGIN_HEAD_UNITS = 0.05


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


def behind_neck(points: np.ndarray, head: np.ndarray, body: np.ndarray, face: Landmarks, size: int) -> np.ndarray:
    """Returns how far hair at points hangs behind the neck, float32 [N], 0 to 1, negative on the left of the face.

    In a frontal picture, it is seen beside the neck, with wall behind it. Hair that lies on the body stays there.

    Args:
        points: [N, 2], pixels of the crop.
        head: [N], 0 to 1, opacity of the head there.
        body: [N], 0 to 1, opacity of the body behind it.
        face: landmarks, pixels of the crop.
        size: side of the crop, pixels.
    """
    pose = fit_pose(face)
    below = below_lobes(pose, points) / pose.scale
    aside = (points - pose.translation[:2]) @ pose.rotation[:2, 0] / pose.scale
    hull = soft_hull(landmarks_3d(face)[:, :2], size, _JAW_MARGIN_HEAD_UNITS * pose.scale)
    columns, rows = points.astype(int).clip(0, size - 1).T
    beside = (below / _SOFTNESS_HEAD_UNITS).clip(0, 1) * np.interp(np.abs(aside), _ASIDE_HEAD_UNITS, (0, 1))
    beside *= (1 - hull[rows, columns]) * np.interp(abs(pose.rotation[2, 0]), _TURN_SINE, (1, 0))
    for side in (aside > 0, aside <= 0):
        length = below[side & (beside > 0) & (head > _OPAQUE)].max(initial=0)
        beside[side] *= np.interp(length, _LENGTH_HEAD_UNITS, (1, 0))
    return np.asarray(np.sign(aside) * beside * (1 - body), np.float32)
