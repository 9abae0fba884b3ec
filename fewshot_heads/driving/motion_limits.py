"""Limits that keep a retargeted face plausible: rotation, translation, crop borders, lids and lips.

The limits of rotation and translation are soft: smaller motions are unchanged, and larger motions approach the limit.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.landmarks import LOWER_INNER_LIP, UPPER_INNER_LIP, Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS, unsigned_eye_aspect_ratio
from fewshot_heads.landmarks.lids import LOWER_LIDS, UPPER_LIDS, close_lids
from fewshot_heads.landmarks.pose import NECK, Pose

# Rotations from the source pose, and of the head's axis from the camera: unchanged up to the first angle, never beyond
# the second. Farther around, the source image shows nothing of the head.
_FREE_ROTATION_RADIANS, _MAX_ROTATION_RADIANS = np.radians([45, 70])
_FREE_VIEW_RADIANS, _MAX_VIEW_RADIANS = np.radians([50, 70])
_MAX_NECK_SHIFT_HEAD_UNITS = 0.4  # from shoulders that stand still; talking and leaning shift by 0.25 at most
_MAX_SCALE_FACTOR = 1.3  # larger or smaller than the source, on shoulders that stand still
_FREE_FRACTION = 0.7  # of a limit, up to which a motion is unchanged
# Logarithms of the ratio of both eyes' openings, each over that of the source, between which a difference is a wink.
_NO_WINK, _WINK = 0.5, 0.9
_SURE_RADIANS, _UNSURE_RADIANS = np.radians([10, 25])  # yaw of a driver between which the far eye is lost
_CLOSED_EYE_RATIO = 0.02  # aspect ratio of an eye that is closed, however far the other is open


def limit_rotation(rotation: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Returns a head rotation, softly limited from 45 degrees from the source pose, and 50 degrees from the camera.

    A source that looks farther aside may keep its own angle to the camera. A roll is not limited.

    Args:
        rotation: [3, 3], the wanted rotation, as `Pose.rotation`.
        source: [3, 3], rotation of the source pose.
    """
    wanted_view, source_view = _view_angles(rotation), _view_angles(source)
    view = source_view + _soft_limit(wanted_view - source_view, _FREE_ROTATION_RADIANS, _MAX_ROTATION_RADIANS)
    free = max(_FREE_VIEW_RADIANS, float(np.linalg.norm(source_view)))
    view = _soft_limit(view, free, max(_MAX_VIEW_RADIANS, free))
    return _shortest_rotation(_view_direction(wanted_view), _view_direction(view)) @ rotation


def limit_translation(pose: Pose, source: Pose) -> Pose:
    """Returns a pose whose neck and size are softly limited to those of the source.

    The neck shifts by 0.4 head units at most, and the size changes by a factor of 1.3 at most.

    Args:
        pose: the wanted pose, crop pixels.
        source: pose of the source, crop pixels.
    """
    log_growth = _soft_limit(
        np.log([pose.scale / source.scale]), _FREE_FRACTION * np.log(_MAX_SCALE_FACTOR), np.log(_MAX_SCALE_FACTOR)
    )
    sized = replace(pose, scale=source.scale * float(np.exp(log_growth[0])))
    displacement = (sized.apply(NECK) - source.apply(NECK))[0]
    limited_xy = (
        _soft_limit(
            displacement[:2] / source.scale, _FREE_FRACTION * _MAX_NECK_SHIFT_HEAD_UNITS, _MAX_NECK_SHIFT_HEAD_UNITS
        )
        * source.scale
    )
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
    upper = np.concatenate([UPPER_INNER_LIP, UPPER_LIDS.ravel()])
    lower = np.concatenate([LOWER_INNER_LIP, LOWER_LIDS.ravel()])
    crossed = shape[lower, 1] < shape[upper, 1]
    middle = (shape[upper, 1] + shape[lower, 1]) / 2
    shape[upper, 1] = np.where(crossed, middle, shape[upper, 1])
    shape[lower, 1] = np.where(crossed, middle, shape[lower, 1])
    return shape


def couple_lids(shape: np.ndarray, usual: np.ndarray, driver_rotation: np.ndarray) -> np.ndarray:
    """Returns the shape with eyes that are equally far open, if the driver is turned and does not wink.

    The detector sees the far eye of a turned head from the side and errs. Eyes open and close together.

    Args:
        shape: [70 or 221, 3], head units.
        usual: [2], aspect ratios of the source's eyes, right eye first.
        driver_rotation: [3, 3], rotation of the driver's head, as `Pose.rotation`.
    """
    openings = np.array([unsigned_eye_aspect_ratio(shape[eye, :2]) for eye, _ in EYES_AND_BROWS])
    yaw = abs(_view_angles(driver_rotation)[0])
    if yaw <= _SURE_RADIANS or min(openings.min(), usual.min()) < _CLOSED_EYE_RATIO:
        return shape
    log_openings = np.log(openings / usual)
    difference = abs(log_openings[0] - log_openings[1])
    wink = np.clip((difference - _NO_WINK) / (_WINK - _NO_WINK), 0, 1)
    sure = np.clip((_UNSURE_RADIANS - yaw) / (_UNSURE_RADIANS - _SURE_RADIANS), 0, 1)
    coupled = (1 - max(wink, sure)) * (log_openings.mean() - log_openings)  # change of the logarithms
    return close_lids(shape[None], 1 - np.exp(coupled)[None])[0]


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


def _soft_limit(vector: np.ndarray, free: float, limit: float) -> np.ndarray:
    """Returns a vector of the same direction: unchanged up to a free length, then softly limited."""
    length = float(np.linalg.norm(vector))
    if length <= free:
        return vector
    margin = limit - free
    return vector / length * (free + margin * np.tanh((length - free) / max(margin, 1e-9)))
