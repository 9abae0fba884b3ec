"""Turns the irises of open eyes.

A spline through the landmarks cannot: the lids next to an iris hold it. The white of the eye is stretched on one side
and compressed on the other, and the iris keeps its shape, its size and its color.
"""

from __future__ import annotations

import numpy as np

from fewshot_heads.landmarks import LEFT_IRIS, N_POINTS, RIGHT_IRIS, Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d
from fewshot_heads.rendering.eye_frame import EyeFrame, EyePatch

_IRISES = (RIGHT_IRIS, LEFT_IRIS)
_IRIS_RADIUS_EYE_WIDTHS = 0.2  # 11.7 mm of 29 mm across
_MIN_WHITE_EYE_WIDTHS = 0.08  # of the white that stays on either side of an iris
_MIN_OPEN_PIXELS = 2.0  # lid gap below which no iris is visible
_MIN_SHIFT_PIXELS = 0.1  # a smaller shift is invisible
_LID_PLACES = 9  # along the eye, of which the highest and the lowest bound what is drawn
_EDGE_PIXELS = 1.0  # width over which the eye fades into the lids


def iris_offsets(face: Landmarks) -> np.ndarray:
    """Returns the irises relative to the means of their eyes' points, float64 [2, 3], head units, right eye first.

    Args:
        face: landmarks, pixels.
    """
    shape = CanonicalFace.of(face).shape
    return np.array([shape[iris] - shape[eye].mean(0) for (eye, _), iris in zip(EYES_AND_BROWS, _IRISES, strict=True)])


def turn_irises(frame: np.ndarray, offsets: np.ndarray, face: Landmarks) -> np.ndarray:
    """Returns the frame with the irises where a face has them.

    Args:
        frame: uint8 [H, W, 3].
        offsets: [2, 3], head units, `iris_offsets` of the source image.
        face: landmarks of the frame with the wanted irises, pixels of the frame.
    """
    pose = fit_pose(face)
    points = landmarks_3d(face, pose)[:N_POINTS]
    for (eye, _), iris, offset in zip(EYES_AND_BROWS, _IRISES, offsets, strict=True):
        shown = points[eye].mean(0) + pose.scale * pose.rotation @ offset
        eye_frame = EyeFrame(face.points[eye])
        frame = _turn(frame, eye_frame, eye_frame.to_eye(shown[:2]), eye_frame.to_eye(points[iris, :2]))
    return frame


def _turn(frame: np.ndarray, eye: EyeFrame, shown: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the frame with one iris moved.

    Args:
        frame: uint8 [H, W, 3].
        eye: the eye in the frame.
        shown: [2], center of the iris in the frame, along and down.
        wanted: [2], center of the iris in the result, along and down.
    """
    radius = _IRIS_RADIUS_EYE_WIDTHS * eye.width
    margin = radius + _MIN_WHITE_EYE_WIDTHS * eye.width
    shown_along, along_to = np.clip([shown[0], wanted[0]], margin, eye.width - margin)
    if eye.gap < _MIN_OPEN_PIXELS or np.hypot(along_to - shown_along, wanted[1] - shown[1]) < _MIN_SHIFT_PIXELS:
        return frame
    upper, lower = eye.lids(np.linspace(0, eye.width, _LID_PLACES))
    patch = EyePatch(frame, eye, upper.min() - _EDGE_PIXELS, lower.max() + _EDGE_PIXELS)
    source_along = np.interp(
        patch.along,
        [0, along_to - radius, along_to + radius, eye.width],
        [0, shown_along - radius, shown_along + radius, eye.width],
    )
    # Lids cover the iris: a place that lies behind one in the frame takes the nearest place that does not.
    top, bottom = eye.lids(source_along)
    half = 0.5 * np.minimum(1.0, bottom - top)
    source_down = np.clip(patch.down - wanted[1] + shown[1], top + half, bottom - half)
    upper, lower = eye.lids(patch.along)
    alpha = np.clip(np.minimum(patch.down - upper, lower - patch.down) / _EDGE_PIXELS, 0, 1)
    patch.draw(source_along, source_down, alpha)
    return patch.result
