"""Finds the wall that is seen between strands of hair, which mattes of a whole head contain.

Where the wall is plain, its color behind the head is known from the clean plate, so a pixel tells how much of it shows:
difference matting (Smith and Blinn, "Blue Screen Matting", SIGGRAPH 1996, with the hair's color as the other one).
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.imaging.matting import twice_blurred, unmixed
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d

# Shares of the difference between hair and wall.
_WALL_SHARE, _HAIR_SHARE = 0.15, 0.8  # up to which a pixel is wall, and from which it is hair
_GAP_SHARE = 0.25  # less is a gap
_MAX_GRAIN_SHARE = 0.08  # standard deviation of a wall that is plain
_MIN_CONTRAST = 0.12  # of 1; hair and wall that differ less are not told apart
_MAX_ALIKE = 0.05  # share of the face, and of the hair, that may look like the wall
_HEAD = 0.3  # opacity from which gaps are looked for: the soft edge of the matte is none
# Head units.
_COLOR_WINDOW = 0.3  # side of the window in which hair and wall have one color
_REACH = 0.3  # gaps are so near to the wall around the head
_FACE_MARGIN = 0.06  # by which the hull of a face reaches over the wall
_GAP_MARGIN = 0.04  # around a gap, where pixels show some wall


def hair_opacity(image: np.ndarray, head: np.ndarray, wall: np.ndarray, face: Landmarks) -> np.ndarray:
    """Returns 0 in the gaps between strands of hair, and 1 elsewhere, with soft edges; float32 [R, R].

    It is 1 everywhere if the face or the hair looks like the wall, as in many black-and-white photographs.

    Args:
        image: uint8 RGB [R, R, 3].
        head: float32 [R, R], 0 to 1, the head's matte.
        wall: uint8 RGB [R, R, 3], clean plate of what is behind.
        face: landmarks, pixels.
    """
    unit = fit_pose(face).scale
    pixels, plate = (x.astype(np.float32) / 255 for x in (image, wall))
    hair = _hair_difference(pixels - plate, head, _COLOR_WINDOW * unit)
    contrast = np.square(hair).sum(2)
    share, likeness = unmixed(pixels, plate, hair, np.maximum(contrast, _MIN_CONTRAST**2))
    hull = soft_hull(landmarks_3d(face)[:, :2], len(image)) > 0.5
    inner_face = _grown(hull, -_FACE_MARGIN * unit)
    near_wall = _grown(head < 0.5, _REACH * unit) & ~inner_face
    alike = (share < _GAP_SHARE) & (likeness > 0.5)
    if any(alike[part].sum() > _MAX_ALIKE * part.sum() for part in (inner_face, near_wall & (head > 0.5))):
        return np.ones_like(head)
    plain = _grain(plate, _COLOR_WINDOW * unit) < _MAX_GRAIN_SHARE * np.sqrt(contrast)
    gaps = alike & near_wall & plain & (contrast > _MIN_CONTRAST**2) & (head > _HEAD)
    opacity = ((share - _WALL_SHARE) / (_HAIR_SHARE - _WALL_SHARE)).clip(0, 1)
    near_gaps = _grown(gaps, _GAP_MARGIN * unit) & ~inner_face
    return np.where(near_gaps, 1 - likeness * (1 - opacity), 1).astype(np.float32)


def _hair_difference(difference: np.ndarray, head: np.ndarray, side: float) -> np.ndarray:
    """Returns how the hair nearby differs from the wall, [R, R, 3]. The purest pixels count most.

    Args:
        difference: [R, R, 3], of the image and the wall.
        head: [R, R], 0 to 1.
        side: of the window, pixels.
    """
    weight = np.where(head > 0.5, np.square(np.square(difference).sum(2)), 0)[..., None]
    means = twice_blurred(np.dstack([difference * weight, weight]), side)
    return np.asarray(means[..., :3] / np.maximum(means[..., 3:], 1e-9))


def _grain(wall: np.ndarray, side: float) -> np.ndarray:
    """Returns the standard deviation of a wall [R, R, 3] in a window of a side in pixels, [R, R]."""
    mean, square = (twice_blurred(x, side) for x in (wall, wall * wall))
    return np.sqrt((square - mean * mean).max(2).clip(0))


def _grown(mask: np.ndarray, radius: float) -> np.ndarray:
    """Returns a mask, bool [R, R], that reaches farther by a radius in pixels, or less far if it is negative."""
    outside = mask if radius < 0 else ~mask  # distances are measured from its other side
    distance = cv2.distanceTransform(outside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance > -radius if radius < 0 else distance <= radius)
