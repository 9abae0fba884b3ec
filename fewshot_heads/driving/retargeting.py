"""Retargeting: the driver's motion on the source's face shape.

A face is split as pixels = scale * R @ (shape + expression) + translation (see `landmarks.pose.Pose`). Relative motion
adds to the source what changed in the driver since a reference frame. The driver's face shape is not transferred. All
landmarks of this module are in crop pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.driving.motion_limits import (
    clamp_to_crop,
    couple_lids,
    limit_rotation,
    limit_translation,
    prevent_crossing_lids,
)
from fewshot_heads.driving.quarter_turns import upright_faces
from fewshot_heads.driving.reference import reference_face, without_smile
from fewshot_heads.driving.sequences import LazySequence
from fewshot_heads.errors import BadInput, check_choice, check_gain
from fewshot_heads.landmarks import (
    BROWS,
    JAW,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS,
    RIGHT_EYE,
    RIGHT_IRIS,
    Landmarks,
)
from fewshot_heads.landmarks.aspect_ratio import lip_gap
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, Pose

_EYES = ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS))
# Landmarks of each part of a face whose expression has a strength of its own. The jaw drops with the lips.
PARTS = {
    "brows": np.r_[BROWS],
    "lids": np.r_[RIGHT_EYE, LEFT_EYE],
    "gaze": np.array([RIGHT_IRIS, LEFT_IRIS]),
    "lips": np.r_[JAW, LIPS],
}
_EYE_CORNERS = [36, 39, 42, 45]  # fixed in the skull; the detector shifts them with every blink (correlation 0.6)
# In a result, the detector finds the brows 0.64 times as far moved as the landmarks ask. A gain of 1.6 makes up for it,
# but the face is then less the source's (CSIM 0.90 instead of 0.91).
_BROW_GAIN = 1.3
_GAIN_LIMITS = (0.5, 2.0)  # a region of the source moves at least half and at most twice as far as the driver's
# Displacement of each landmark, head units, when the lip gap grows by 1: mostly the jaw drops, and the upper lip rises.
_JAW_DROP = np.zeros((70, 3))
_JAW_DROP[[49, 50, 51, 52, 53, 61, 62, 63], 1] = -0.15
_JAW_DROP[[55, 56, 57, 58, 59, 65, 66, 67], 1] = 0.85
_JAW_DROP[[4, 5, 6, 7, 8, 9, 10, 11, 12], 1] = [0.1, 0.3, 0.5, 0.65, 0.7, 0.65, 0.5, 0.3, 0.1]
_SURFACE_SIGMA_HEAD_UNITS = 0.15  # distance at which a landmark's influence on a surface point has fallen off
_distance2 = ((MEAN_SURFACE[:, None] - MEAN_HEAD) ** 2).sum(-1)
_SURFACE_WEIGHTS = np.exp(-(_distance2 - _distance2.min(1, keepdims=True)) / (2 * _SURFACE_SIGMA_HEAD_UNITS**2))
_SURFACE_WEIGHTS /= _SURFACE_WEIGHTS.sum(1, keepdims=True)  # [151, 70], rows sum to 1: influence of each landmark


def retarget(
    source: Landmarks,
    driver: Sequence[Landmarks],
    motion: str = "relative",
    pose: float = 1.0,
    expression: float = 1.0,
    reference: int | None = None,
    side: int | None = None,
    still_body: bool = False,
    still_mouth: bool = False,
    parts: Mapping[str, float] | None = None,
) -> Sequence[Landmarks]:
    """Returns the source's landmarks, moved as the driver moves.

    Args:
        source: face of the source, crop pixels.
        driver: face of each driver frame, crop pixels.
        motion: "relative" keeps the source's face shape and starts from the source's pose. "absolute" returns the
            driver's landmarks, shape included. This is the protocol of the 2019 paper, right when source and driver
            are one person.
        pose: strength of the head's motion, 1 as in the driver. Relative motion only.
        expression: strength of the expression, 1 as in the driver. Relative motion only.
        reference: index of the driver frame that corresponds to the source image. None takes `reference_face`.
        side: side of the crop, pixels. Relative motion keeps the face in the crop. None does not limit the face.
        still_body: whether the head is pasted back into an image whose shoulders stand still. Relative motion then
            keeps the head on the shoulders, see `motion_limits.limit_translation`.
        still_mouth: whether the lips keep the source's shape in relative motion.
        parts: part (a key of `PARTS`) -> further strength of its expression. A part that is left out has 1.

    Returns:
        One face for each driver frame, crop pixels. Relative motion computes it on access.

    Raises:
        BadInput: the driver has no frame, or an option is out of range.
    """
    check_choice("motion", motion, ("relative", "absolute"))
    check_gain("pose", pose)
    check_gain("expression", expression)
    for part, strength in (parts or {}).items():
        check_choice("part", part, tuple(PARTS))
        check_gain(part, strength)
    if not driver:
        raise BadInput("the driver has no frame; give one frame at least")
    if reference is not None and reference not in range(len(driver)):
        raise BadInput(f"reference={reference}, but the driver has frames 0 to {len(driver) - 1}; name one of them")
    driver = upright_faces(driver, side or 0)
    if motion == "absolute":
        return driver
    may_smile = reference is None  # who names a reference, means it
    if reference is None:
        face = reference_face(CanonicalFace.of(source), driver)
    else:
        face = CanonicalFace.of(driver[reference])
    retargeter = Retargeter(source, face, side, still_body, still_mouth, parts, may_smile)
    return LazySequence(lambda frame: retargeter.retarget(driver[frame], pose, expression), range(len(driver)))


class Retargeter:
    """Moves a source's landmarks as a driver has moved since its reference face, one frame at a time.

    Args:
        source: face of the source, crop pixels.
        reference: face of the driver that corresponds to the source image.
        side: as in `retarget`, like all that follow.
        still_body: whether the head stays on its shoulders.
        still_mouth: whether the lips keep the source's shape.
        parts: strengths of parts of the face.
        may_smile: whether the driver may smile in the reference more than the source, see `reference.without_smile`.
    """

    def __init__(
        self, source: Landmarks, reference: CanonicalFace, side: int | None = None, still_body: bool = False,
        still_mouth: bool = False, parts: Mapping[str, float] | None = None, may_smile: bool = False,
    ):  # fmt: skip
        parts = dict.fromkeys(PARTS, 1.0) | dict(parts or {})
        self._source, self._side, self._still_body, self._still_mouth = source, side, still_body, still_mouth
        self._source_face, self._reference_face = CanonicalFace.of(source), reference
        if may_smile:
            neutral = without_smile(self._reference_face.shape, self._source_face.shape)
            self._reference_face = replace(self._reference_face, shape=neutral)
        self._lips, self._gains = parts["lips"], region_gains(self._source_face, self._reference_face)
        self._gains[BROWS] *= _BROW_GAIN
        for part, strength in parts.items():
            self._gains[PARTS[part]] *= strength

    def retarget(self, driver: Landmarks, pose: float = 1.0, expression: float = 1.0) -> Landmarks:
        """Returns the source's landmarks for a frame of the driver, crop pixels.

        Args:
            driver: face of the frame, crop pixels.
            pose: strength of the head's motion, 1 as in the driver.
            expression: strength of the expression, 1 as in the driver.
        """
        source, reference, driver_face = self._source_face, self._reference_face, CanonicalFace.of(driver)
        shape = _retarget_shape(source, reference, driver_face, self._gains, expression, self._lips)
        if self._still_mouth:
            shape[LIPS] = source.shape[LIPS]
        target_pose = _retarget_pose(source.pose, reference.pose, driver_face.pose, pose)
        if self._still_body:
            target_pose = limit_translation(target_pose, source.pose)
        face = Landmarks.from_array(target_pose.apply(shape), self._source.confidence)
        return face if self._side is None else clamp_to_crop(face, self._source, self._side)


def region_gains(source: CanonicalFace, reference: CanonicalFace) -> np.ndarray:
    """Returns each source landmark's motion for a unit of the driver's, [70, 1].

    The gain is the ratio of the region's sizes. Lids are scaled by the height of the eye, so a driver's closed eye
    closes any eye of the source.
    """
    gains = np.ones((70, 1))
    for eye, iris in _EYES:
        source_width, reference_width = _eye_width(source, eye), _eye_width(reference, eye)
        reference_height = reference.eye_opening(eye) * reference_width
        gains[eye] = source.eye_opening(eye) * source_width / max(reference_height, 1e-6)
        gains[iris] = source_width / reference_width
    gains[LIPS] = source.mouth_width() / reference.mouth_width()
    return np.clip(gains, *_GAIN_LIMITS)


def _eye_width(face: CanonicalFace, eye: slice) -> float:
    """Returns the distance of an eye's corners, head units."""
    corners = face.shape[eye][[0, 3]]
    return float(np.linalg.norm(corners[0] - corners[1]))


def _retarget_shape(
    source: CanonicalFace, reference: CanonicalFace, driver: CanonicalFace, gains: np.ndarray, expression: float,
    lips: float,
) -> np.ndarray:  # fmt: skip
    """Returns the source's shape with the driver's expression, [70 or 221, 3], head units.

    Args:
        source: face of the source.
        reference: face of the driver that corresponds to it.
        driver: face of the frame.
        gains: [70, 1], motion for a unit of the driver's.
        expression: strength of the whole expression.
        lips: further strength of the opening of the mouth.
    """
    count = len(source.shape)
    shape = source.shape + expression * _to_point_count(gains, count) * _shape_change(reference, driver, count)
    # A reference with parted lips does not tell how far the source's lips are apart: this one measure is absolute.
    mouth_ratio = source.mouth_opening() + lips * expression * (driver.mouth_opening() - source.mouth_opening())
    gap_change = max(mouth_ratio, 0.0) * source.mouth_width() - lip_gap(shape)
    shape += _to_point_count(_JAW_DROP, count) * gap_change
    usual = np.array([source.eye_opening(eye) for eye, _ in _EYES])
    return couple_lids(prevent_crossing_lids(shape), usual, driver.pose.rotation)


def _retarget_pose(source: Pose, reference: Pose, driver: Pose, strength: float) -> Pose:
    """Returns the source's pose, changed as the driver's since the reference and limited in rotation."""
    rotation_change, _ = cv2.Rodrigues(driver.rotation @ reference.rotation.T)
    rotation = limit_rotation(cv2.Rodrigues(strength * rotation_change)[0] @ source.rotation, source.rotation)
    growth = (driver.scale / reference.scale) ** strength
    displacement = strength * (driver.translation - reference.translation) * source.scale / reference.scale
    return Pose(rotation, source.translation + displacement, source.scale * growth)


def _shape_change(reference: CanonicalFace, driver: CanonicalFace, count: int) -> np.ndarray:
    """Returns the driver's shape minus the reference's, [count, 3], head units. The corners of the eyes stay.

    If one of the two has no surface, the change of the surface comes from the landmarks.
    """
    common = min(len(reference.shape), len(driver.shape))
    change = driver.shape[:common] - reference.shape[:common]
    change[_EYE_CORNERS] = 0
    return _to_point_count(change, count)


def _to_point_count(values: np.ndarray, count: int) -> np.ndarray:
    """Returns values for the landmarks, or spread from them to the surface too, [count, D].

    Args:
        values: [70 or 221, D].
        count: 70 for the landmarks, 221 for the landmarks and the surface.
    """
    if len(values) < count:
        values = np.vstack([values, _SURFACE_WEIGHTS @ values])
    return values[:count]
