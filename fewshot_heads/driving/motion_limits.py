"""Limits that keep a retargeted face plausible: rotation, translation, crop borders, lids and lips.

The limits of rotation and translation are soft. A motion is unchanged up to 70 % of its limit, and larger motions
approach the limit.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.landmarks import LOWER_INNER_LIP, UPPER_INNER_LIP, Landmarks
from fewshot_heads.landmarks.pose import Pose

# Beyond this rotation from the source pose, a cheek appears that the source image does not show.
_MAX_ROTATION_FROM_SOURCE_RADIANS = np.radians(35)
# A head turned this far from the camera hides its other cheek completely. Such a head may hardly turn back.
_HIDDEN_CHEEK_RADIANS = np.radians(60)
_MIN_BACK_ROTATION_FRACTION = 0.1  # of the rotation limit: remains for a head that hides its other cheek
# Beyond this angle to the camera, the landmarks of the far cheek slide into each other.
_MAX_ANGLE_TO_CAMERA_RADIANS = np.radians(48)
_NECK_HEAD_UNITS = np.array([[0.0, 1.6, 0.6]])  # position of the neck in the head's frame
_MAX_NECK_SHIFT_HEAD_UNITS = 0.4  # from shoulders that stand still; talking and leaning shift by 0.25 at most
_MAX_SCALE_FACTOR = 1.3  # larger or smaller than the source, on shoulders that stand still
_FREE_FRACTION = 0.7  # of a limit, up to which a motion is unchanged
_UPPER_LIDS, _LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]  # in pairs


def limit_rotation(rotation: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Returns a head rotation, softly limited to 35 degrees from the source pose.

    The head's angle to the camera is limited too: to 48 degrees, or to the source's angle over 0.7 if that is more. A
    roll is not limited. The more a head is turned away in the source, the less it may turn back: see
    `_HIDDEN_CHEEK_RADIANS`.

    Args:
        rotation: [3, 3], the wanted rotation, as `Pose.rotation`.
        source: [3, 3], rotation of the source pose.
    """
    wanted_view, source_view = _view_angles(rotation), _view_angles(source)
    change, source_angle = wanted_view - source_view, float(np.linalg.norm(source_view))
    # Angle of the change toward the camera and past it.
    back = max(0.0, float(-change @ source_view)) / max(float(np.linalg.norm(change)), 1e-9)
    back_fraction = max(1 - back / _HIDDEN_CHEEK_RADIANS, _MIN_BACK_ROTATION_FRACTION)
    view = source_view + _soft_limit(change, _MAX_ROTATION_FROM_SOURCE_RADIANS * back_fraction)
    view = _soft_limit(view, max(_MAX_ANGLE_TO_CAMERA_RADIANS, source_angle / _FREE_FRACTION))
    return _shortest_rotation(_view_direction(wanted_view), _view_direction(view)) @ rotation


def limit_translation(pose: Pose, source: Pose) -> Pose:
    """Returns a pose whose neck and size are softly limited to those of the source.

    The neck shifts by 0.4 head units at most, and the size changes by a factor of 1.3 at most.

    Args:
        pose: the wanted pose, crop pixels.
        source: pose of the source, crop pixels.
    """
    log_growth = _soft_limit(np.log([pose.scale / source.scale]), np.log(_MAX_SCALE_FACTOR))
    sized = replace(pose, scale=source.scale * float(np.exp(log_growth[0])))
    displacement = (sized.apply(_NECK_HEAD_UNITS) - source.apply(_NECK_HEAD_UNITS))[0]
    limited_xy = _soft_limit(displacement[:2], _MAX_NECK_SHIFT_HEAD_UNITS * source.scale)
    limited = np.append(limited_xy, displacement[2])
    return replace(sized, translation=sized.translation + limited - displacement)


def clamp_to_crop(face: Landmarks, source: Landmarks, side: int) -> Landmarks:
    """Returns a face, moved and shrunk to exceed the crop no more than the source.

    Args:
        face: crop pixels.
        source: face of the source, crop pixels.
        side: side of the crop, crop pixels.
    """
    (left, top, right, bottom), source_box = face.box, source.box
    low, high = np.minimum(source_box[:2], 0.0), np.maximum(source_box[2:], float(side))
    size = np.array([right - left, bottom - top])
    shrink = float(min(1.0, ((high - low) / size).min()))
    center = np.array([left + right, top + bottom]) / 2
    half = shrink * size / 2
    clamped_center = np.clip(center, low + half, high - half)
    return face.moved((center - clamped_center / shrink).astype(np.float32), shrink)


def prevent_crossing_lids(shape: np.ndarray) -> np.ndarray:
    """Returns the shape with crossed lids and inner lips closed, and changes the argument.

    Both points of a crossed pair move to their middle.

    Args:
        shape: [70 or 221, 3], head units.
    """
    upper = np.concatenate([UPPER_INNER_LIP, _UPPER_LIDS])
    lower = np.concatenate([LOWER_INNER_LIP, _LOWER_LIDS])
    crossed = shape[lower, 1] < shape[upper, 1]
    middle = (shape[upper, 1] + shape[lower, 1]) / 2
    shape[upper, 1] = np.where(crossed, middle, shape[upper, 1])
    shape[lower, 1] = np.where(crossed, middle, shape[lower, 1])
    return shape


def _view_angles(rotation: np.ndarray) -> np.ndarray:
    """Returns the head's angle to the camera axis, along image x and y, [2], radians.

    The head's axis runs from the nose to the nape. A roll does not change the result.
    """
    x, y, z = rotation[:, 2]
    across = np.hypot(x, y)
    return np.arctan2(across, z) * np.array([x, y]) / max(across, 1e-9)


def _view_direction(view_angles: np.ndarray) -> np.ndarray:
    """Returns the unit vector [3] that has these `_view_angles` [2]."""
    angle = float(np.linalg.norm(view_angles))
    return np.append(np.sin(angle) * view_angles / max(angle, 1e-9), np.cos(angle))


def _shortest_rotation(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Returns the shortest rotation [3, 3] from one unit vector [3] to another."""
    axis = np.cross(start, end)
    sine = float(np.linalg.norm(axis))
    return cv2.Rodrigues(axis / max(sine, 1e-9) * np.arctan2(sine, float(start @ end)))[0]


def _soft_limit(vector: np.ndarray, limit: float) -> np.ndarray:
    """Returns a vector of the same direction, shorter than the limit."""
    length, free = float(np.linalg.norm(vector)), _FREE_FRACTION * limit
    if length <= free:
        return vector
    margin = limit - free
    return vector / length * (free + margin * np.tanh((length - free) / margin))
