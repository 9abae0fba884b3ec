"""Changes that make many pictures of one: framing, mirror, colors, and a turn of the head in depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from fewshot_heads.imaging.convert import to_tensor, to_uint8
from fewshot_heads.imaging.warping import tps_warp
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.pose import landmarks_3d, mirrored, rotate_3d

_TURN = np.radians([4.0, 6.0, 3.0])  # standard deviation of a pseudo-pair's pitch, yaw and roll
_MOST = 1.7  # standard deviations: farther than this the stretched cheek teaches nothing


@dataclass(frozen=True)
class Augmentation:
    """One augmentation, the same for all pictures of an episode: framing, mirror, colors.

    matrix: [2, 3] affine map of the size x size crop onto itself; zoom: its scale, for depths;
    gain, offset: [3] of the colors; saturation: 0 is gray, 1 leaves them.
    """

    size: int
    matrix: np.ndarray
    zoom: float
    mirror: bool
    gain: np.ndarray
    offset: np.ndarray
    saturation: float

    @classmethod
    def draw(cls, random: np.random.Generator, size: int, strength: float = 1.0) -> Augmentation:
        """A random one; strength 0 changes nothing, 1 is right for many people's clips."""
        low, high = 1 - 0.12 * strength, 1 + 0.2 * strength
        zoom, angle = random.uniform(low, high), random.normal(0, 6) * strength
        matrix = np.array(cv2.getRotationMatrix2D((size / 2, size / 2), angle, zoom), np.float64)
        matrix[:, 2] += random.uniform(-0.06, 0.06, 2) * size * strength
        gray = random.random() < 0.06 * strength
        saturation = 0.0 if gray else 1 + random.uniform(-0.4, 0.3) * strength
        gain = (1 + random.uniform(-0.25, 0.25) * strength) * (1 + random.uniform(-0.08, 0.08, 3) * strength)
        offset = random.uniform(-15, 15, 3) * strength
        return cls(size, matrix, zoom, random.random() < 0.5 * min(strength, 1), gain, offset, saturation)

    def warp(self, image: np.ndarray) -> np.ndarray:
        """A picture or mask [S, S, ...] in the new framing, its values kept; beyond the edges it is mirrored."""
        size, image = (self.size, self.size), np.asarray(image)
        image = cv2.warpAffine(image, self.matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return image[:, ::-1] if self.mirror else image

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """uint8 [S, S, 3] to the same: framing, mirror and colors."""
        return self._colored(self.warp(frame))

    def warp_crop(self, frame: np.ndarray, place: Crop) -> np.ndarray:
        """What `place` cuts out of the `picture`, uint8 [size, size, 3], resampled once and so sharper."""
        whole = np.vstack([self.matrix, [0, 0, 1]])
        if self.mirror:
            whole = np.array([[-1, 0, self.size - 1], [0, 1, 0], [0, 0, 1]]) @ whole
        matrix = place.matrix @ whole
        how = cv2.INTER_CUBIC if np.linalg.det(matrix[:, :2]) ** 2 > 1 else cv2.INTER_LINEAR
        size = (place.size, place.size)
        return self._colored(cv2.warpAffine(frame, matrix, size, flags=how, borderMode=cv2.BORDER_REFLECT_101))

    def _colored(self, frame: np.ndarray) -> np.ndarray:
        gray = frame.mean(2, keepdims=True)
        mixed = (gray + (frame - gray) * self.saturation) * self.gain + self.offset
        return np.clip(mixed, 0, 255).astype(np.uint8)

    def face(self, landmarks: np.ndarray) -> Landmarks:
        """Landmarks as `to_array` made them, pixels of the crop, to where `picture` shows them."""
        points = landmarks[:, :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
        depth = landmarks[:, 2] * self.zoom
        face = Landmarks.from_array(np.column_stack([points, depth]))
        return mirrored(face, self.size) if self.mirror else face


def rotate_in_depth(
    picture: np.ndarray, landmarks: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture as if the head had been turned a little: what lets a person's only picture be a pair.

    picture uint8 [S, S, 3], landmarks as `to_array` made them. The landmarks turn in space, the picture follows
    by a thin-plate spline, the background stays. It is fit for an input only: what it shows, no camera has seen.
    Returns picture, landmarks and float32 [S, S]: 1 on the face, 0 around it. There background was dragged along, or
    stands still where in life hair and shoulders would have followed: nothing good can be learnt from it.
    """
    turn = np.clip(random.normal(0, 1, 3), -_MOST, _MOST) * _TURN
    face = Landmarks.from_array(np.asarray(landmarks))
    moved = rotate_3d(face, turn)
    here, there = control_points(Landmarks.from_array(landmarks_3d(face))), control_points(moved)
    image, size = to_tensor(np.asarray(picture))[None], picture.shape[0]
    carried = tps_warp(image, torch.from_numpy(here)[None], torch.from_numpy(there)[None])
    dragged = _around(np.vstack([here, there]), size)
    result = to_uint8((image + torch.from_numpy(dragged) * (carried - image))[0])
    return result, moved.to_array(), _hull(here, size)


def _hull(points: np.ndarray, size: int) -> np.ndarray:
    """Mask of the points' convex hull, float32 [size, size]."""
    mask: np.ndarray = np.zeros((size, size), np.float32)
    return cv2.fillConvexPoly(mask, cv2.convexHull(points.round().astype(np.int32)), 1.0)


def _around(points: np.ndarray, size: int) -> np.ndarray:
    """Soft-edged mask of the points' hull and of the hair and ears around it, float32 [size, size]."""
    wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size // 4, size // 4))
    return cv2.GaussianBlur(cv2.dilate(_hull(points, size), wide), (0, 0), size / 32)
