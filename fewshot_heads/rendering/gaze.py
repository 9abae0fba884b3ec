"""Turns the irises of open eyes.

A spline through the landmarks cannot: the lids next to an iris hold it. The white of the eye is stretched on one side
and compressed on the other, and the iris keeps its shape, its size and its color.
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import LEFT_IRIS, N_POINTS, RIGHT_IRIS, Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS, LOWER_LID, UPPER_LID, eye_axes
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d
from fewshot_heads.rendering.eyelids import lid_curve

_IRISES = (RIGHT_IRIS, LEFT_IRIS)
_IRIS_RADIUS_EYE_WIDTHS = 0.2  # 11.7 mm of 29 mm across
_MIN_WHITE_EYE_WIDTHS = 0.08  # of the white that stays on either side of an iris
_MIN_OPEN_PIXELS = 2.0  # lid gap below which no iris is visible
_MIN_SHIFT_PIXELS = 0.1  # a smaller shift is invisible
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
        frame = _turn(frame, face.points[eye].astype(float), shown[:2], points[iris, :2])
    return frame


def _turn(frame: np.ndarray, eye: np.ndarray, shown: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the frame with one iris moved.

    Args:
        frame: uint8 [H, W, 3].
        eye: [6, 2], the eye in the frame, pixels.
        shown: [2], center of the iris in the frame, pixels.
        wanted: [2], center of the iris in the result, pixels.
    """
    corner, (x, y) = eye[0], eye_axes(eye)
    axes = np.stack([x, y], 1)
    width = float((eye[3] - corner) @ x)
    gap = float(((eye[LOWER_LID] - eye[UPPER_LID]) @ y).mean())
    (shown_along, shown_down), (along_to, down_to) = ((point - corner) @ axes for point in (shown, wanted))
    radius = _IRIS_RADIUS_EYE_WIDTHS * width
    margin = radius + _MIN_WHITE_EYE_WIDTHS * width
    shown_along, along_to = np.clip([shown_along, along_to], margin, width - margin)
    if gap < _MIN_OPEN_PIXELS or np.hypot(along_to - shown_along, down_to - shown_down) < _MIN_SHIFT_PIXELS:
        return frame
    (left, upper), (right, lower) = np.clip([eye.min(0) - 1, eye.max(0) + 2], 0, frame.shape[1::-1]).astype(int)
    if right <= left or lower <= upper:
        return frame
    pixels = np.stack(np.meshgrid(np.arange(left, right), np.arange(upper, lower)), -1) + 0.5
    along, down = (pixels - corner) @ x, (pixels - corner) @ y
    lids = [(eye[lid] - corner) @ axes for lid in (UPPER_LID, LOWER_LID)]
    top, bottom = (lid_curve(lid, width, along) for lid in lids)
    source_along = np.interp(
        along,
        [0, along_to - radius, along_to + radius, width],
        [0, shown_along - radius, shown_along + radius, width],
    )
    source_top, source_bottom = (lid_curve(lid, width, source_along) for lid in lids)
    # Lids cover the iris: a place that lies behind one in the frame takes the nearest place that does not.
    half = 0.5 * np.minimum(1.0, source_bottom - source_top)
    source_down = np.clip(down - down_to + shown_down, source_top + half, source_bottom - half)
    positions = (corner + source_along[..., None] * x + source_down[..., None] * y - 0.5).astype(np.float32)
    moved = cv2.remap(frame, positions[..., 0], positions[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = np.clip(np.minimum(down - top, bottom - down) / _EDGE_PIXELS, 0, 1)
    alpha = np.where((along > 0) & (along < width), alpha, 0)[..., None]
    result = frame.copy()
    box = result[upper:lower, left:right].astype(np.float32)
    result[upper:lower, left:right] = box + alpha * (moved - box) + 0.5
    return result
