"""Augmentation of training images: framing, mirror, colors, and a rotation of the head in depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fewshot_heads.imaging.convert import to_float, to_uint8
from fewshot_heads.imaging.splines import tps_warp
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.pose import landmarks_3d, mirrored, rotate_3d
from fewshot_heads.layers.separation import PortraitLayers

# Ranges of `Augmentation` at strength 1. Half-widths of uniform distributions, where nothing else is said.
_MAX_SHRINK, _MAX_ENLARGEMENT = 0.12, 0.2
_ROTATION_STD_DEGREES = 6
_SHIFT_CROP_FRACTION = 0.06
_MIRROR_PROBABILITY = 0.5
_GRAY_PROBABILITY = 0.06
_SATURATION_CHANGE = (-0.4, 0.3)
_BRIGHTNESS_CHANGE = 0.25  # of all channels together
_CHANNEL_CHANGE = 0.08  # of each channel separately
_OFFSET_GRAY_LEVELS = 15

_PSEUDO_PAIR_STD_RADIANS = np.radians([4.0, 6.0, 3.0])  # pitch, yaw and roll of `rotate_in_depth`
_PSEUDO_PAIR_MAX_STDS = 1.7  # beyond this rotation the stretched cheek teaches nothing
_CROP_OVER_HAIR_DILATION = 4  # the crop's side over the diameter of the dilation around the face
_CROP_OVER_EDGE_STD = 32  # the crop's side over the standard deviation of the mask's soft edge


@dataclass(frozen=True)
class Augmentation:
    """One augmentation, applied equally to all images of an episode.

    Attributes:
        size: side S of the crop, pixels.
        matrix: [2, 3], affine map of the crop onto itself, pixels.
        zoom: scale of the map. It also scales depths.
        mirror: whether the image is mirrored.
        gain: [3], factor of the colors.
        offset: [3], added to the colors, gray levels of 255.
        saturation: 0 is gray, 1 keeps the colors.
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
        """Draws a random augmentation.

        Args:
            random: source of all random numbers.
            size: side of the crop, pixels.
            strength: 0 changes nothing; 1 suits clips of many people.
        """
        low, high = 1 - _MAX_SHRINK * strength, 1 + _MAX_ENLARGEMENT * strength
        zoom, angle = random.uniform(low, high), random.normal(0, _ROTATION_STD_DEGREES) * strength
        matrix = np.array(cv2.getRotationMatrix2D((size / 2, size / 2), angle, zoom), np.float64)
        matrix[:, 2] += random.uniform(-_SHIFT_CROP_FRACTION, _SHIFT_CROP_FRACTION, 2) * size * strength
        gray = random.random() < _GRAY_PROBABILITY * strength
        saturation = 0.0 if gray else 1 + random.uniform(*_SATURATION_CHANGE) * strength
        brightness = 1 + random.uniform(-_BRIGHTNESS_CHANGE, _BRIGHTNESS_CHANGE) * strength
        gain = brightness * (1 + random.uniform(-_CHANNEL_CHANGE, _CHANNEL_CHANGE, 3) * strength)
        offset = random.uniform(-_OFFSET_GRAY_LEVELS, _OFFSET_GRAY_LEVELS, 3) * strength
        mirror = random.random() < _MIRROR_PROBABILITY * min(strength, 1)
        return cls(size, matrix, zoom, mirror, gain, offset, saturation)

    def warp(self, image: np.ndarray) -> np.ndarray:
        """Returns the image in the new framing, with unchanged values; borders are reflected.

        Args:
            image: [S, S, ...], an image or mask.
        """
        size, image = (self.size, self.size), np.asarray(image)
        image = cv2.warpAffine(image, self.matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return image[:, ::-1] if self.mirror else image

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """Returns the augmented image, uint8 [S, S, 3]: framing, mirror and colors.

        Args:
            frame: uint8 [S, S, 3].
        """
        return self._colored(self.warp(frame))

    def layers(self, layers: PortraitLayers) -> PortraitLayers:
        """Returns augmented layers, each as `picture` changes an image.

        Args:
            layers: uint8 [S, S, 3 or 4] each.
        """
        return PortraitLayers(*map(self._layer, layers))

    def _layer(self, layer: np.ndarray) -> np.ndarray:
        warped = self.warp(layer)
        return np.ascontiguousarray(np.dstack([self._colored(warped[..., :3]), warped[..., 3:]]))

    def warp_crop(self, frame: np.ndarray, crop: Crop) -> np.ndarray:
        """Returns a crop of the augmented image, uint8 [crop.size, crop.size, 3].

        The image is resampled once. The crop is therefore sharper than a crop of `picture`.

        Args:
            frame: uint8 [S, S, 3].
            crop: in pixels of the augmented image.
        """
        framing = np.vstack([self.matrix, [0, 0, 1]])
        if self.mirror:
            framing = np.array([[-1, 0, self.size - 1], [0, 1, 0], [0, 0, 1]]) @ framing
        matrix = crop.matrix @ framing
        flags = cv2.INTER_CUBIC if np.linalg.det(matrix[:, :2]) ** 2 > 1 else cv2.INTER_LINEAR
        size = (crop.size, crop.size)
        return self._colored(cv2.warpAffine(frame, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101))

    def _colored(self, frame: np.ndarray) -> np.ndarray:
        gray = frame.mean(2, keepdims=True)
        colored = (gray + (frame - gray) * self.saturation) * self.gain + self.offset
        return np.clip(colored, 0, 255).astype(np.uint8)

    def face(self, landmarks: np.ndarray) -> Landmarks:
        """Returns the landmarks as `picture` shows them.

        Args:
            landmarks: [70 or 221, 3], pixels of the crop, as `Landmarks.to_array` returns them.
        """
        points = landmarks[:, :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
        depth = landmarks[:, 2] * self.zoom
        face = Landmarks.from_array(np.column_stack([points, depth]))
        return mirrored(face, self.size) if self.mirror else face


def rotate_in_depth(
    picture: np.ndarray, landmarks: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotates the head slightly, so that a single image gives a pair of poses.

    The landmarks rotate in space. The image follows by a thin-plate spline, and the background stays. The result may
    only be an input of a network, never a target: no camera took the image.

    Args:
        picture: uint8 [S, S, 3].
        landmarks: [70 or 221, 3], pixels, as `Landmarks.to_array` returns them.
        random: source of all random numbers.

    Returns:
        The image uint8 [S, S, 3], its landmarks, and a mask float32 [S, S]: 1 on the face, 0 outside. Outside the
            face, background was dragged along, or hair and shoulders did not follow. A loss must not count these
            pixels.
    """
    turns = np.clip(random.normal(0, 1, 3), -_PSEUDO_PAIR_MAX_STDS, _PSEUDO_PAIR_MAX_STDS)
    face = Landmarks.from_array(np.asarray(landmarks))
    rotated = rotate_3d(face, turns * _PSEUDO_PAIR_STD_RADIANS)
    source_points, target_points = control_points(Landmarks.from_array(landmarks_3d(face))), control_points(rotated)
    image, size = to_float(np.asarray(picture))[None], picture.shape[0]
    warped = tps_warp(image, source_points, target_points)
    head_mask = _soft_head_mask(np.vstack([source_points, target_points]), size)
    result = to_uint8((image + head_mask * (warped - image))[0])
    return result, rotated.to_array(), _hull_mask(source_points, size)


def _hull_mask(points: np.ndarray, size: int) -> np.ndarray:
    """Returns the convex hull of points [N, 2] (pixels) as a mask, float32 [size, size]."""
    mask: np.ndarray = np.zeros((size, size), np.float32)
    return cv2.fillConvexPoly(mask, cv2.convexHull(points.round().astype(np.int32)), 1.0)


def _soft_head_mask(points: np.ndarray, size: int) -> np.ndarray:
    """Returns a soft-edged mask of face, hair and ears, float32 [size, size]."""
    diameter = size // _CROP_OVER_HAIR_DILATION
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    return cv2.GaussianBlur(cv2.dilate(_hull_mask(points, size), ellipse), (0, 0), size / _CROP_OVER_EDGE_STD)
