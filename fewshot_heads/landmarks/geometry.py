"""Where the head is: rigid pose, anchors that move with it, and the square it is seen through.

Frames of reference: *picture* (pixels), *crop* (pixels of the square the networks see) and *head*
(the mean head's frame: outer eye corners 1 apart, x right, y down, z away from the viewer).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from fewshot_heads.landmarks import MIRROR, N_POINTS, N_SURFACE, RIGHT_EYE, Landmarks

_mean_head = json.loads((Path(__file__).parent / "mean_head.json").read_text())
MEAN_HEAD = np.array(_mean_head["landmarks"], np.float32)  # [70, 3]
HEAD_ANCHORS = np.array(_mean_head["anchors"], np.float32)  # [A, 3], forehead and crown
MEAN_SURFACE = np.array(_mean_head["surface"], np.float32)  # [151, 3], where `Landmarks.surface` is on the mean head
SURFACE_MIRROR = np.array(_mean_head["surface_mirror"])  # [151], each point's partner, as `landmarks.MIRROR`
_NORMALS = np.array(_mean_head["normals"], np.float32)  # [151, 3], outward
RIGID = np.array([0, 1, 15, 16, *range(27, 36), 36, 39, 42, 45])  # temples, nose, eye corners: no expression

_LOOSE = 0.05  # how closely the carrying spline meets a point, beside lids and lips: many tell of a place together
_EDGE_ON, _FACING = 0.1, 0.4  # cosines to the viewer between which a point of the surface comes to be trusted
_BEYOND = 0.08  # head units from eye and mouth corners to the outline of a cheek that is turned away
CROP_FACTOR = 2.2  # side of the crop over the larger side of the face box
CROP_RISE = 0.16  # the crop's centre lies this share of the face box above the box's centre


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
    centre = model.mean(0)
    model = model - centre
    if landmarks.depth is None:
        rotation, scale = _pose_from_flat(model, landmarks.points[RIGID].astype(np.float64))
        middle = np.append(landmarks.points[RIGID].mean(0), 0.0)
    else:
        seen = spatial(landmarks)[RIGID]
        middle = seen.mean(0)
        u, singular, vt = np.linalg.svd((seen - middle).T @ model)
        flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        rotation = (u * flip) @ vt
        scale = float((singular * flip).sum() / (model**2).sum())
    return Pose(rotation, middle - scale * rotation @ centre, scale)


def _pose_from_flat(model: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, float]:
    """Scaled orthography: the best 2x3 affine map, its rows made orthogonal and equally long."""
    affine = np.linalg.lstsq(model, seen - seen.mean(0), rcond=None)[0].T
    u, singular, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    return np.vstack([rows, np.cross(rows[0], rows[1])]), float(singular.mean())


def spatial(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
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


def turned_in_space(landmarks: Landmarks, angles: np.ndarray) -> Landmarks:
    """The face turned about its middle by a rotation vector [3] (pitch, yaw, roll for small ones), radians."""
    points = spatial(landmarks)
    centre = points[:N_POINTS].mean(0)
    turned = (points - centre) @ cv2.Rodrigues(np.asarray(angles, np.float64))[0].T + centre
    return Landmarks.from_array(turned, landmarks.confidence)


def carrying_points(landmarks: Landmarks) -> np.ndarray:
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
        seen = np.clip((facing(landmarks, pose) - _EDGE_ON) / (_FACING - _EDGE_ON), 0, 1)
    weights = np.full(len(held) + N_SURFACE, _LOOSE)
    weights[RIGHT_EYE.start : N_POINTS] = 1.0
    weights[len(held) :] *= seen**2
    return np.column_stack([np.vstack([held, surface[:, :2]]), weights]).astype(np.float32)


def facing(landmarks: Landmarks, pose: Pose | None = None) -> np.ndarray:
    """[151]: how much each point of the surface faces the viewer, the cosine of its normal's angle to the way there."""
    return -(_NORMALS @ (pose or fit_pose(landmarks)).rotation.T)[:, 2]


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


@dataclass(frozen=True)
class Crop:
    """A square of the picture, seen at `size` x `size` pixels.

    left, top, side: pixels of the picture; the square may reach beyond its edges.
    """

    left: float
    top: float
    side: float
    size: int

    @classmethod
    def around(cls, faces: list[Landmarks], size: int) -> Crop:
        """One square for a whole shot, around the median face box and wide enough that no face leaves it.

        It lies on whole pixels, so what is cut out can be put back without being resampled.
        """
        boxes = np.array([face.box for face in faces])
        box = np.median(boxes, axis=0)
        face = float((box[2:] - box[:2]).max())
        centre = (box[:2] + box[2:]) / 2 - [0, CROP_RISE * face]
        reach = np.abs(np.concatenate([boxes[:, :2] - centre, boxes[:, 2:] - centre])).max()
        side = max(CROP_FACTOR * face, min(2.1 * reach, 1.6 * CROP_FACTOR * face))
        left, top = np.round(centre - side / 2).tolist()
        return cls(left, top, float(round(side)), size)

    @classmethod
    def full(cls, height: int, width: int, size: int) -> Crop:
        """The picture itself as the crop: its largest centred square."""
        side = min(height, width)
        return cls((width - side) // 2, (height - side) // 2, side, size)

    def grown(self, factor: float) -> Crop:
        """About the same middle, factor times as large, seen at as many pixels."""
        margin = (factor - 1) / 2 * self.side
        return replace(self, left=self.left - margin, top=self.top - margin, side=factor * self.side)

    @property
    def scale(self) -> float:
        """Crop pixels per picture pixel."""
        return self.size / self.side

    @property
    def matrix(self) -> np.ndarray:
        """[2, 3] affine map from picture to crop coordinates (pixel centres at integers, as OpenCV has them)."""
        k = self.scale
        shift = 0.5 * k - 0.5
        return np.array([[k, 0, shift - k * self.left], [0, k, shift - k * self.top]])

    def cut(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] picture to uint8 [size, size, 3]; beyond the edges the picture is mirrored."""
        interpolation = cv2.INTER_LINEAR if self.scale >= 0.5 else cv2.INTER_AREA
        if interpolation == cv2.INTER_AREA:
            # warpAffine cannot average: shrink first to about twice the final size, then place.
            factor = 2 * self.scale
            small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            return Crop(self.left * factor, self.top * factor, self.side * factor, self.size).cut(small)
        if self.scale > 1:
            interpolation = cv2.INTER_CUBIC
        return cv2.warpAffine(
            image, self.matrix, (self.size, self.size), flags=interpolation, borderMode=cv2.BORDER_REFLECT_101
        )

    def to_crop(self, landmarks: Landmarks) -> Landmarks:
        """Landmarks of the picture, in pixels of the crop (pixel edges at integers, as detectors have them)."""
        return landmarks.moved(np.array([self.left, self.top], np.float32), self.scale)

    def from_crop(self, landmarks: Landmarks) -> Landmarks:
        """Landmarks in pixels of the crop, in those of the picture."""
        return landmarks.moved(np.array([-self.left, -self.top], np.float32) * self.scale, 1 / self.scale)
