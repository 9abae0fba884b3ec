"""Where the head is: rigid pose, anchors that move with it, and the square it is seen through.

Frames of reference: *picture* (pixels), *crop* (pixels of the square the networks see) and *head*
(the mean head's frame: outer eye corners 1 apart, x right, y down, z away from the viewer).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fewshot_heads.landmarks import MIRROR, N_POINTS, Landmarks

_mean_head = json.loads((Path(__file__).parent / "mean_head.json").read_text())
MEAN_HEAD = np.array(_mean_head["landmarks"], np.float32)  # [70, 3]
HEAD_ANCHORS = np.array(_mean_head["anchors"], np.float32)  # [A, 3], forehead and crown
MEAN_SURFACE = np.array(_mean_head["surface"], np.float32)  # [151, 3], where `Landmarks.surface` is on the mean head
SURFACE_MIRROR = np.array(_mean_head["surface_mirror"])  # [151], each point's partner, as `landmarks.MIRROR`
_NORMALS = np.array(_mean_head["normals"], np.float32)  # [151, 3], outward
RIGID = np.array([0, 1, 15, 16, *range(27, 36), 36, 39, 42, 45])  # temples, nose, eye corners: no expression


@dataclass(frozen=True)
class Pose:
    """A similarity from head to pixels: x_pixels = scale * rotation @ x_head + translation.

    rotation: float64 [3, 3]; translation: float64 [3], pixels; scale: pixels per head unit.
    """

    rotation: np.ndarray
    translation: np.ndarray
    scale: float

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Head [N, 3] to pixels [N, 3]."""
        return self.scale * points @ self.rotation.T + self.translation

    def undo(self, points: np.ndarray) -> np.ndarray:
        """Pixels [N, 3] to head [N, 3]."""
        return (points - self.translation) @ self.rotation / self.scale


def fit_pose(landmarks: Landmarks) -> Pose:
    """The similarity that carries the mean head's rigid points onto the face (Umeyama, PAMI 1991, eq. 40-42).

    Without depth, the rotation comes from the affine map of the same points to the picture.
    """
    model = MEAN_HEAD[RIGID].astype(np.float64)
    center = model.mean(0)
    model = model - center
    if landmarks.depth is None:
        rotation, scale = _pose_from_flat(model, landmarks.points[RIGID].astype(np.float64))
        middle = np.append(landmarks.points[RIGID].mean(0), 0.0)
    else:
        seen = landmarks_3d(landmarks)[RIGID]
        middle = seen.mean(0)
        u, singular, vt = np.linalg.svd((seen - middle).T @ model)
        flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        rotation = (u * flip) @ vt
        scale = float((singular * flip).sum() / (model**2).sum())
    return Pose(rotation, middle - scale * rotation @ center, scale)


def _pose_from_flat(model: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, float]:
    """Scaled orthography: the best 2x3 affine map, its rows made orthogonal and equally long."""
    affine = np.linalg.lstsq(model, seen - seen.mean(0), rcond=None)[0].T
    u, singular, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    return np.vstack([rows, np.cross(rows[0], rows[1])]), float(singular.mean())


def landmarks_3d(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
    """Landmarks, and the surface if known, as float64 [70 or 221, 3] pixels.

    A missing depth is that of the mean head in `pose`.
    """
    array = landmarks.to_array().astype(np.float64)
    if landmarks.depth is None:
        array[:N_POINTS, 2] = (pose or fit_pose(landmarks)).apply(MEAN_HEAD)[:, 2]
    return array


def mirrored(landmarks: Landmarks, width: float) -> Landmarks:
    """The face as the mirrored picture, `width` pixels wide, shows it."""
    array = landmarks.to_array()
    array = array[np.concatenate([MIRROR, N_POINTS + SURFACE_MIRROR])[: len(array)]]
    array[:, 0] = width - array[:, 0]
    return Landmarks.from_array(array, landmarks.confidence)


def rotate_3d(landmarks: Landmarks, angles: np.ndarray) -> Landmarks:
    """The face turned about its middle by a rotation vector [3] (pitch, yaw, roll for small ones), radians."""
    points = landmarks_3d(landmarks)
    center = points[:N_POINTS].mean(0)
    turned = (points - center) @ cv2.Rodrigues(np.asarray(angles, np.float64))[0].T + center
    return Landmarks.from_array(turned, landmarks.confidence)


def surface_visibility(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
    """[151]: how much each point of the surface faces the viewer, the cosine of its normal's angle to the way there."""
    return -(_NORMALS @ (pose or fit_pose(landmarks)).rotation.T)[:, 2]
