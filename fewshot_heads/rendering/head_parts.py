"""Finds ears, forehead and hair in a head layer by the color of the face's skin, and the seam on the neck."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.imaging.face_color import color_deviations
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.landmarks import LEFT_EYE, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.pose import below_lobes, fit_pose, landmarks_3d

_OPAQUE = 0.9
_SEAM_HEAD_UNITS = 0.3  # below the jaw, in which the head's matte has a soft seam (`layers.separation`)
_SEAM_BEGINS = 0.8  # opacity
_SKIN_DEVIATIONS = 4.0  # standard deviations of the face's colors up to which a color is skin
_LEAST_LIGHT = 0.45  # of skin above the eyes, over that of the face: dark hair has the color of deep shade on dark skin
_INNER_FACE_SHARE = 0.8  # of the face's hull, from its center: there the skin is measured
_HAIR_MARGIN_HEAD_UNITS = 0.15  # between the face's hull and hair: a hull ends below the hairline
_EAR_HEAD_UNITS = 0.2  # of an ear, below the usual height of its lobe
_FOREHEAD_HEAD_UNITS = 0.4  # height of a forehead above the landmarks
_HANGING_HEAD_UNITS = (0.1, 0.3)  # below the lobes, where hair hangs that is longer than the ears
_MIN_HAIR_SHARE = 0.3  # of the crown: a head with less is bald, and its scalp takes the place of hair


class HeadParts(NamedTuple):
    """Parts of a head layer.

    Attributes:
        face: bool [g, g], the hull of the landmarks.
        ears: bool [g, g], skin beside the face, from the eyes down to where the largest ears end.
        forehead: bool [g, g], skin above the face, below the hairline.
        hair: bool [g, g], hair or a hat above the lobes. The scalp of a bald head.
        hanging: bool [g, g], hair beside the face, just below the lobes.
    """

    face: np.ndarray
    ears: np.ndarray
    forehead: np.ndarray
    hair: np.ndarray
    hanging: np.ndarray


def find_head_parts(head: np.ndarray, face: Landmarks) -> HeadParts:
    """Returns the parts of a head.

    Args:
        head: uint8 [g, g, 4], RGB and alpha of the head.
        face: landmarks, pixels of the head.
    """
    pose, points, size = fit_pose(face), landmarks_3d(face)[:, :2], len(head)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + 0.5
    below_eyes = (pixels - points[np.r_[RIGHT_EYE, LEFT_EYE]].mean(0)) @ pose.rotation[:2, 1] > 0
    below = below_lobes(pose, pixels) / pose.scale
    above_lobes = below < 0
    opaque = head[..., 3] > _OPAQUE * 255
    hull = soft_hull(points, size) > 0.5
    beside_face = opaque & ~hull
    far_from_face = beside_face & (soft_hull(points, size, _HAIR_MARGIN_HEAD_UNITS * pose.scale) < 0.5)
    inner_face, is_skin = find_skin(head[..., :3], opaque, face)
    if not inner_face.any():
        return HeadParts(hull, *[inner_face] * 4)
    light = head[..., :3].mean(2)
    is_skin &= below_eyes | (light > _LEAST_LIGHT * np.median(light[inner_face]))
    hair, crown = far_from_face & above_lobes & ~is_skin, far_from_face & ~below_eyes
    if hair.sum() < _MIN_HAIR_SHARE * crown.sum():
        hair = crown
    near_face = soft_hull(points, size, _FOREHEAD_HEAD_UNITS * pose.scale) > 0.5
    forehead = beside_face & near_face & ~below_eyes & is_skin
    ears = beside_face & below_eyes & (below < _EAR_HEAD_UNITS) & is_skin
    hanging = far_from_face & (below > _HANGING_HEAD_UNITS[0]) & (below < _HANGING_HEAD_UNITS[1]) & ~is_skin
    return HeadParts(hull, ears, forehead, hair, hanging)


def find_skin(image: np.ndarray, head: np.ndarray, face: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    """Returns the inner face, whose colors are measured, and all pixels with such colors, bool [g, g] each.

    Args:
        image: uint8 [g, g, 3].
        head: bool [g, g], where the image shows the head.
        face: landmarks, pixels of the image.
    """
    points = landmarks_3d(face)[:, :2]
    center = points.mean(0)
    inner_face = head & (soft_hull(center + _INNER_FACE_SHARE * (points - center), len(image)) > 0.5)
    if not inner_face.any():
        return inner_face, inner_face
    return inner_face, color_deviations(image, inner_face) < _SKIN_DEVIATIONS


def seam_share(matte: np.ndarray, hull: np.ndarray, face: Landmarks) -> np.ndarray:
    """Returns the share of a head's matte that is its soft seam on the body, below the jaw, [g, g], 0 to 1.

    Args:
        matte: float32 [g, g], 0 to 1.
        hull: bool [g, g], the face.
        face: landmarks, pixels of the map.
    """
    pose, side = fit_pose(face), len(matte)
    pixels = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1) + 0.5
    reach = 2 * round(_SEAM_HEAD_UNITS * pose.scale) + 1
    jaw = cv2.dilate(hull.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) > 0
    below = jaw & (below_lobes(pose, pixels) > 0)
    sharp = ((matte - _SEAM_BEGINS) / (1 - _SEAM_BEGINS)).clip(0, 1)
    return below * (1 - sharp / np.maximum(matte, 1e-3))
