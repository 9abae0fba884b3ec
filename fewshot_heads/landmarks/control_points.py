"""Points that warp a source image: landmarks, head anchors and the face surface."""

from __future__ import annotations

import numpy as np

from fewshot_heads.landmarks import (
    BROWS,
    LEFT_IRIS,
    LEFT_MOUTH_CORNER,
    N_POINTS,
    N_SURFACE,
    RIGHT_EYE,
    RIGHT_IRIS,
    RIGHT_MOUTH_CORNER,
    Landmarks,
)
from fewshot_heads.landmarks.pose import HEAD_ANCHORS, MEAN_SURFACE, Pose, fit_pose, surface_visibility

# Weight of jaw, nose and surface in the spline. Many of these points describe the same region, so no single one has to
# be met exactly. Eyes and lips have weight 1. Brows are between: they go 95 % of their way, where the weight of a loose
# point takes them 80 %.
_LOOSE_POINT_WEIGHT, _BROW_WEIGHT = 0.05, 0.5
_EDGE_ON_COSINE, _FACING_COSINE = 0.1, 0.4  # `surface_visibility` of a point with no weight and with full weight
_CHEEK_MARGIN_HEAD_UNITS = 0.08  # from the eye and mouth corners to the outline of a cheek that is turned away
_CHIN = 8
# (sign of the side, jaw points of the side, its brow, eye corner, nostril, mouth corner and chin from top to bottom)
_FACE_SIDES = ((-1, slice(0, 8), [17, 36, 31, 48, 8]), (1, slice(9, 17), [26, 45, 35, 54, 8]))


def warp_points(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
    """Returns the points that warp an image, each with its weight in the spline.

    A surface point that does not face the viewer has weight 0, because the pixels at this point show what occludes it.
    Without a measured surface, the points lie where the mean head has them, with weight 0.

    Args:
        landmarks: the face, pixels.
        pose: pose of the face. None fits the pose.

    Returns:
        float32 [70 + A + 151, 3]: `control_points`, then the surface. Columns: x and y in pixels, weight from 0 to 1.
    """
    pose = pose or fit_pose(landmarks)
    held_points = control_points(landmarks, pose)
    if landmarks.surface is None:
        surface, visibility = pose.apply(MEAN_SURFACE), np.zeros(N_SURFACE)
    else:
        surface = landmarks.surface
        cosine = surface_visibility(landmarks, pose)
        visibility = np.clip((cosine - _EDGE_ON_COSINE) / (_FACING_COSINE - _EDGE_ON_COSINE), 0, 1)
    weights = np.full(len(held_points) + N_SURFACE, _LOOSE_POINT_WEIGHT)
    weights[BROWS] = _BROW_WEIGHT
    weights[RIGHT_EYE.start : N_POINTS] = 1.0
    weights[[RIGHT_IRIS, LEFT_IRIS]] = 0.0  # see `rendering.gaze`
    weights[len(held_points) :] *= visibility**2
    return np.column_stack([np.vstack([held_points, surface[:, :2]]), weights]).astype(np.float32)


def control_points(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
    """Returns the 70 landmarks and the anchors that move rigidly with the head.

    The anchors hold the forehead and the hair, where few detectors have points.

    Args:
        landmarks: the face, pixels.
        pose: pose of the face. None fits the pose.

    Returns:
        float32 [70 + A, 2], pixels.
    """
    pose = pose or fit_pose(landmarks)
    outlined = _jaw_on_outline(landmarks.points, pose)
    return np.vstack([outlined, pose.apply(HEAD_ANCHORS)[:, :2]]).astype(np.float32)


def _jaw_on_outline(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Returns the landmarks [70, 2] with hidden jaw points moved to the face's outline.

    A detector with depth places a hidden jaw point behind an eye or a cheek. Warped along with such a point, an image
    would show the eye or the cheek twice. The hidden jaw points move sideways until they lie just beyond the brow, eye,
    nostril, mouth corner and chin of their side.
    """
    across = pose.rotation[:2, 0] / max(np.linalg.norm(pose.rotation[:2, 0]), 1e-9)
    axes = np.stack([across, [-across[1], across[0]]])  # the head's left to right, and the head's top to bottom
    u, v = axes @ points.T
    for sign, jaw, inner in _FACE_SIDES:
        margin = _CHEEK_MARGIN_HEAD_UNITS * pose.scale * (1 - _chin_proximity(v, jaw))
        edge = np.interp(v[jaw], v[inner], sign * u[inner]) + margin
        u[jaw] = sign * np.maximum(sign * u[jaw], edge)
    return np.stack([u, v], axis=1) @ axes


def _chin_proximity(heights: np.ndarray, jaw: slice) -> np.ndarray:
    """Returns 1 for jaw points as low as the chin, 0 from the mouth upward.

    Args:
        heights: [70], pixels downward along the head.
        jaw: the jaw points to compare.
    """
    mouth = (heights[RIGHT_MOUTH_CORNER] + heights[LEFT_MOUTH_CORNER]) / 2
    return np.clip((heights[jaw] - mouth) / max(heights[_CHIN] - mouth, 1e-6), 0, 1)
