"""Points that warp a source image: landmarks, head anchors and the face surface."""

from __future__ import annotations

import numpy as np

from fewshot_heads.landmarks import N_POINTS, N_SURFACE, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.pose import HEAD_ANCHORS, MEAN_SURFACE, Pose, fit_pose, surface_visibility

_LOOSE = 0.05  # how closely the carrying spline meets a point, beside lids and lips: many tell of a place together
_EDGE_ON, _FACING = 0.1, 0.4  # cosines to the viewer between which a point of the surface comes to be trusted
_BEYOND = 0.08  # head units from eye and mouth corners to the outline of a cheek that is turned away


def warp_points(landmarks: Landmarks) -> np.ndarray:
    """What carries the picture: `control_points`, then the face's surface, each with its weight.

    Returns float32 [70 + A + 151, 3]: x, y in pixels, then 0 to 1, how closely it is to be met. A surface point that
    does not face the viewer has 0: what lies before it would be carried with it. So has one that no detector saw; it is
    where the mean head has it.
    """
    pose = fit_pose(landmarks)
    held = control_points(landmarks, pose)
    if landmarks.surface is None:
        surface, seen = pose.apply(MEAN_SURFACE), np.zeros(N_SURFACE)
    else:
        surface = landmarks.surface
        seen = np.clip((surface_visibility(landmarks, pose) - _EDGE_ON) / (_FACING - _EDGE_ON), 0, 1)
    weights = np.full(len(held) + N_SURFACE, _LOOSE)
    weights[RIGHT_EYE.start : N_POINTS] = 1.0
    weights[len(held) :] *= seen**2
    return np.column_stack([np.vstack([held, surface[:, :2]]), weights]).astype(np.float32)


def control_points(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
    """What holds a head: the 70 landmarks, then the anchors that move rigidly with it.

    Returns float32 [70 + A, 2], pixels. The anchors hold forehead and hair, where few detectors have points.
    """
    pose = pose or fit_pose(landmarks)
    return np.vstack([_outlined(landmarks.points, pose), pose.apply(HEAD_ANCHORS)[:, :2]]).astype(np.float32)


def _outlined(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Points [70, 2] with those of the jaw on the outline of the face where a turn hides them.

    A detector with depth sees them through the head, before them eye or cheek; carried with them, a picture would show
    these twice. They go sideways to just beyond the brow, eye, nostril, mouth corner and chin of their side.
    """
    across = pose.rotation[:2, 0] / max(np.linalg.norm(pose.rotation[:2, 0]), 1e-9)
    axes = np.stack([across, [-across[1], across[0]]])  # the head's left to right, and its top to bottom
    u, v = axes @ points.T
    for sign, jaw, inner in ((-1, slice(0, 8), [17, 36, 31, 48, 8]), (1, slice(9, 17), [26, 45, 35, 54, 8])):
        edge = np.interp(v[jaw], v[inner], sign * u[inner]) + _BEYOND * pose.scale * (1 - _near_chin(v, jaw))
        u[jaw] = sign * np.maximum(sign * u[jaw], edge)
    return np.stack([u, v], axis=1) @ axes


def _near_chin(v: np.ndarray, jaw: slice) -> np.ndarray:
    """1 for points of the jaw at the chin's height, 0 at the mouth's and above."""
    mouth = (v[48] + v[54]) / 2
    return np.clip((v[jaw] - mouth) / max(v[8] - mouth, 1e-6), 0, 1)
