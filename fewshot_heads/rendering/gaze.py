"""Turns the irises of open eyes.

A spline through the landmarks cannot: the lids next to an iris hold it. The white of the eye is stretched on one side
and compressed on the other, and the iris keeps its shape, its size and its color.
"""

from __future__ import annotations

import numpy as np

from fewshot_heads.landmarks import LEFT_IRIS, N_POINTS, RIGHT_IRIS, Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS, eye_aspect_ratio
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.eye_frame import EyeFrame
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d
from fewshot_heads.rendering.eye_patch import EyePatch

_IRISES = (RIGHT_IRIS, LEFT_IRIS)
_IRIS_RADIUS_EYE_WIDTHS = 0.2  # 11.7 mm of 29 mm across
_MIN_WHITE_EYE_WIDTHS = 0.08  # of the white on either side of an iris that is shown
_MIN_OPEN_PIXELS = 2.0  # lid gap below which no iris is visible
_MIN_SHIFT_PIXELS = 0.1  # a smaller shift is invisible
_LID_PLACES = 9  # along the eye, of which the highest and the lowest bound what is drawn
_EDGE_PIXELS = 1.0  # width over which the eye fades into the lids
# Eye aspect ratio of a source below which it shows no iris, and the largest height over width of an iris in a frame.
_MIN_ASPECT_RATIO, _MAX_STRETCH = 0.1, 2.0
_LID_SHADOW_EYE_WIDTHS = 0.06  # of the lashes on the eyeball, where nothing of the eyeball is seen
_WIDE_LID_SHADOW_EYE_WIDTHS = 0.2  # of the upper lid of an eye that is twice as far open as in the source
_CLEAR_GAP_SHARE = 0.4  # middle of the gap between the lids, which shows what they cover elsewhere
_CORNER_EYE_WIDTHS = 0.12  # of an eye, which show no white
_SEARCH_STEPS = 4


def iris_offsets(face: Landmarks) -> np.ndarray:
    """Returns the irises relative to the means of their eyes' points, float64 [2, 3], head units, right eye first.

    Args:
        face: landmarks, pixels.
    """
    shape = CanonicalFace.of(face).shape
    return np.array([shape[iris] - shape[eye].mean(0) for (eye, _), iris in zip(EYES_AND_BROWS, _IRISES, strict=True)])


def turn_irises(frame: np.ndarray, offsets: np.ndarray, openings: np.ndarray, face: Landmarks) -> np.ndarray:
    """Returns the frame with round irises where a face has them.

    Args:
        frame: uint8 [H, W, 3].
        offsets: [2, 3], head units, `iris_offsets` of the source image.
        openings: [2], `eye_aspect_ratios` of the source image. The frame shows wider eyes stretched.
        face: landmarks of the frame with the wanted irises, pixels of the frame.
    """
    pose = fit_pose(face)
    points = landmarks_3d(face, pose)[:N_POINTS]
    for (eye, _), iris, offset, opening in zip(EYES_AND_BROWS, _IRISES, offsets, openings, strict=True):
        eye_frame = EyeFrame(face.points[eye])
        middle, offset = points[eye, :2].mean(0), (pose.scale * pose.rotation @ offset)[:2]
        stretch = np.clip(eye_aspect_ratio(face.points[eye]) / max(opening, _MIN_ASPECT_RATIO), 1, _MAX_STRETCH)
        shown = eye_frame.to_eye(middle) + (eye_frame.to_eye(middle + offset) - eye_frame.to_eye(middle)) * [1, stretch]
        frame = _turn(frame, eye_frame, shown, eye_frame.to_eye(points[iris, :2]), float(stretch))
    return frame


def _turn(frame: np.ndarray, eye: EyeFrame, shown: np.ndarray, wanted: np.ndarray, stretch: float) -> np.ndarray:
    """Returns the frame with one iris moved.

    Args:
        frame: uint8 [H, W, 3].
        eye: the eye in the frame.
        shown: [2], center of the iris in the frame, along and down.
        wanted: [2], center of the iris in the result, along and down.
        stretch: height over width of the iris in the frame.
    """
    radius = _IRIS_RADIUS_EYE_WIDTHS * eye.width
    margin = radius + _MIN_WHITE_EYE_WIDTHS * eye.width
    shown_along = np.clip(shown[0], margin, eye.width - margin)
    along_to = np.clip(wanted[0], radius, eye.width - radius)  # up to the corners
    shift = np.hypot(along_to - shown_along, wanted[1] - shown[1]) + (stretch - 1) * radius
    if eye.gap < _MIN_OPEN_PIXELS or shift < _MIN_SHIFT_PIXELS:
        return frame
    upper, lower = eye.lids(np.linspace(0, eye.width, _LID_PLACES))
    patch = EyePatch(frame, eye, upper.min() - _EDGE_PIXELS, lower.max() + _EDGE_PIXELS)
    source_along = np.interp(
        patch.along,
        [0, along_to - radius, along_to + radius, eye.width],
        [0, shown_along - radius, shown_along + radius, eye.width],
    )
    across, over = source_along - shown_along, patch.down - wanted[1]
    upper, lower = eye.lids(patch.along)
    edge = _EDGE_PIXELS + (stretch - 1) * _WIDE_LID_SHADOW_EYE_WIDTHS * eye.width
    alpha = np.clip(np.minimum((patch.down - upper) / edge, (lower - patch.down) / _EDGE_PIXELS), 0, 1)
    # An eyeball is round: a part that a lid covers looks like parts beside the iris that are as far from its center.
    distance = np.maximum(np.hypot(across, over), _EDGE_PIXELS)
    reaches = np.maximum(np.array([shown_along, eye.width - shown_along]) - _CORNER_EYE_WIDTHS * eye.width, 0)
    beyond = [np.maximum(distance - reach, 0) / radius for reach in reaches]
    shares = np.ones_like(across), np.clip(0.5 + across / distance + beyond[0] - beyond[1], 0, 1)
    for side, reach, share in zip((-1, 1), reaches, shares, strict=True):
        center = (shown_along, shown[1])
        places = _visible(eye, center, across, over, side * np.minimum(distance, reach), stretch)
        patch.draw(*places, alpha * share)
    return patch.result


def _visible(
    eye: EyeFrame, center: tuple[float, float], across: np.ndarray, over: np.ndarray, radius: np.ndarray, stretch: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the frame shows parts of an eyeball, along and down, [h, w] each.

    Args:
        eye: the eye in the frame.
        center: of the iris in the frame, along and down.
        across: [h, w], of each part, pixels along the eye from the center of the iris.
        over: [h, w], pixels downward likewise.
        radius: [h, w], distance from the center at which a covered part is sought, negative for the side before it.
        stretch: height over width of the iris in the frame.
    """
    along, down = center[0] + across, center[1] + stretch * over
    top, bottom = eye.lids(along)
    shadow = _LID_SHADOW_EYE_WIDTHS * eye.width * stretch**2
    covered = (down < top + shadow) | (down > bottom - shadow)
    height = over
    for _ in range(_SEARCH_STEPS):  # a lid's height depends on the place, and the place on the height
        beside = center[0] + np.copysign(np.sqrt(np.maximum(radius**2 - height**2, 0)), radius)
        top, bottom = eye.lids(beside)
        middle, half = (top + bottom) / 2, _CLEAR_GAP_SHARE / 2 * (bottom - top)
        highest = np.maximum(middle - half, center[1])  # a catchlight above the center shall not be seen twice
        lowest = np.maximum(middle + half, highest)
        height = (np.clip(center[1] + stretch * over, highest, lowest) - center[1]) / stretch
    return np.where(covered, beside, along), np.where(covered, center[1] + stretch * height, down)
