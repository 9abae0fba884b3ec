"""Rigid head pose, and the mean head that the pose is fitted with.

Points are in one of three frames of reference:

- image: pixels of a source image or of a driver frame.
- crop: pixels of the square that the networks read.
- head: head units of the mean head, whose outer eye corners are 1 apart. x points right, y down and z away from the
  viewer.
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
MEAN_SURFACE = np.array(_mean_head["surface"], np.float32)  # [151, 3], `Landmarks.surface` of the mean head
SURFACE_MIRROR = np.array(_mean_head["surface_mirror"])  # [151], index of the point on the other side, as `MIRROR`
_SURFACE_NORMALS = np.array(_mean_head["normals"], np.float32)  # [151, 3], outward
LOBES = MEAN_HEAD[33:34]  # [1, 3]: the lobes of the ears are as low as the nose's base
NECK = np.array([[0.0, 1.2, 1.2]])  # [1, 3], head units: the point that moves least when a head turns on a still body
NECK_TOP = np.array([[0.0, 0.3, 0.75]])  # [1, 3], head units, level with the ears' lobes: the neck's upper end
RIGID = np.array([0, 1, 15, 16, *range(27, 36), 36, 39, 42, 45])  # temples, nose, eye corners: fixed in the skull


@dataclass(frozen=True)
class Pose:
    """A similarity from head units to pixels.

    x_pixels = scale * rotation @ x_head + translation.

    Attributes:
        rotation: float64 [3, 3].
        translation: float64 [3], pixels.
        scale: pixels per head unit.
    """

    rotation: np.ndarray
    translation: np.ndarray
    scale: float

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Returns points in pixels, [N, 3].

        Args:
            points: [N, 3], head units.
        """
        return self.scale * points @ self.rotation.T + self.translation

    def undo(self, points: np.ndarray) -> np.ndarray:
        """Returns points in head units, [N, 3].

        Args:
            points: [N, 3], pixels.
        """
        return (points - self.translation) @ self.rotation / self.scale


def change_of_pose(source: Pose, target: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Returns the map that takes pixels of a head in one pose to those in another: x_target = A @ x_source + b.

    Args:
        source: pose of the given pixels.
        target: pose of the wanted pixels.

    Returns:
        A [3, 3] and b [3], pixels.
    """
    matrix = target.scale / source.scale * target.rotation @ source.rotation.T
    return matrix, target.translation - matrix @ source.translation


def below_lobes(pose: Pose, points: np.ndarray) -> np.ndarray:
    """Returns how far points of an image are below the ears' lobes, along the head, [...], pixels.

    Args:
        pose: of the head.
        points: [..., 2], pixels.
    """
    below: np.ndarray = (points - pose.apply(LOBES)[0, :2]) @ pose.rotation[:2, 1]
    return below


def turn_between(a: Pose, b: Pose) -> float:
    """Returns about the angle between two rotations, radians: exact for small angles, 9 % less at 90 degrees."""
    return float(np.linalg.norm(a.rotation - b.rotation) / np.sqrt(2))


def view_turn(a: Pose, b: Pose) -> float:
    """Returns about the angle between the directions from which the viewer sees the head, radians.

    Unlike `turn_between`, a roll does not count: it shows nothing else of a head.
    """
    return float(np.linalg.norm(a.rotation[2] - b.rotation[2]))


def fit_pose(landmarks: Landmarks) -> Pose:
    """Returns the similarity that maps the mean head's rigid points onto the face.

    Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns", PAMI 1991, eq. 40-42.
    Without depth, the rotation comes from the affine map of the same points to the image.

    The pose is kept with the landmarks, which never change: rendering asks for it about eleven times a frame.

    Args:
        landmarks: the face, pixels.
    """
    pose = vars(landmarks).get("_pose")
    if pose is None:
        pose = _umeyama(landmarks)
        object.__setattr__(landmarks, "_pose", pose)  # the class is frozen
    return pose


def _umeyama(landmarks: Landmarks) -> Pose:
    """Fits the pose anew; see `fit_pose`."""
    model = MEAN_HEAD[RIGID].astype(np.float64)
    model_centroid = model.mean(0)
    model = model - model_centroid
    if not landmarks.has_depth:
        rotation, scale = _pose_from_flat(model, landmarks.points[RIGID].astype(np.float64))
        centroid = np.append(landmarks.points[RIGID].mean(0), 0.0)
    else:
        points = landmarks_3d(landmarks)[RIGID]
        centroid = points.mean(0)
        u, singular, vt = np.linalg.svd((points - centroid).T @ model)
        flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        rotation = (u * flip) @ vt
        scale = float((singular * flip).sum() / (model**2).sum())
    return Pose(rotation, centroid - scale * rotation @ model_centroid, scale)


def _pose_from_flat(model: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns rotation [3, 3] and scale of a scaled orthographic projection.

    The best 2x3 affine map is replaced by the nearest one with orthogonal rows of equal length.

    Args:
        model: [N, 3], centered, head units.
        points: [N, 2], pixels.
    """
    affine = np.linalg.lstsq(model, points - points.mean(0), rcond=None)[0].T
    u, singular, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    return np.vstack([rows, np.cross(rows[0], rows[1])]), float(singular.mean())


def landmarks_3d(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
    """Returns landmarks with depth, and the surface if known, float64 [70 or 221, 3], pixels.

    If the detector measured no depth, the depth is that of the mean head.

    Args:
        landmarks: the face, pixels.
        pose: pose that gives the mean head's depth. None fits the pose.
    """
    array = landmarks.to_array().astype(np.float64)
    if not landmarks.has_depth:
        array[:N_POINTS, 2] = (pose or fit_pose(landmarks)).apply(MEAN_HEAD)[:, 2]
    return array


def mirrored(landmarks: Landmarks, width: float) -> Landmarks:
    """Returns the face in the horizontally mirrored image.

    Args:
        landmarks: the face, pixels.
        width: width of the image, pixels.
    """
    order = np.concatenate([MIRROR, N_POINTS + SURFACE_MIRROR]) if landmarks.has_surface else MIRROR
    array = landmarks.to_array()[order]
    array[:, 0] = width - array[:, 0]
    return Landmarks.from_array(array, landmarks.confidence)


def rotate_3d(landmarks: Landmarks, angles: np.ndarray) -> Landmarks:
    """Returns the face rotated in space about the mean of its landmarks.

    Args:
        landmarks: the face, pixels.
        angles: rotation vector [3], radians. Small angles are pitch, yaw and roll.
    """
    points = landmarks_3d(landmarks)
    center = points[:N_POINTS].mean(0)
    rotated = (points - center) @ cv2.Rodrigues(np.asarray(angles, np.float64))[0].T + center
    return Landmarks.from_array(rotated, landmarks.confidence)


def surface_visibility(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
    """Returns how much each surface point faces the viewer, [151], -1 to 1.

    The value is the cosine between the point's normal and the direction to the viewer.

    Args:
        landmarks: the face, pixels.
        pose: pose of the face. None fits the pose.
    """
    return -(_SURFACE_NORMALS @ (pose or fit_pose(landmarks)).rotation.T)[:, 2]
