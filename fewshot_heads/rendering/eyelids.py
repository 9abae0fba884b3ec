"""Closes eyelids over eyes that the generator renders as open as in the source image.

A warp of the lids alone would compress the eye between them, and a closed eye would show a thin stripe of iris.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS, LOWER_LID, UPPER_LID, eye_aspect_ratio, eye_axes
from fewshot_heads.landmarks.lids import UPPER_LID_SHARE

# Eye aspect ratio over that of the source. For a closed eye, MediaPipe reports 0.1 to 0.3. From 0.55 on it is right.
_CLOSED_EYE_RATIO, _RELIABLE_EYE_RATIO = 0.3, 0.55
_LID_SKIN_BROW_FRACTION = 0.8  # of the distance from eye to brow: the skin that an upper lid unfolds
# Eye aspect ratio below which the corners are swapped, as in the far eye of a profile. Closed lids may cross a little.
_MIN_ASPECT_RATIO = -0.15
_ASPECT_RATIO_TOLERANCE = 0.002  # a smaller change is invisible
_LASHES_EYE_WIDTHS = 0.1  # length of the lashes
_MIN_EYE_WIDTH_PIXELS = 2.0  # in a narrower eye, such as the far one of a profile, no lids are visible
_CHEEK_SKIN_EYE_WIDTHS = 0.4  # height of the skin that a lower lid moves


def open_eyelids(face: Landmarks, least: np.ndarray) -> Landmarks:
    """Returns the face with eyes that are at least as open as given.

    Args:
        face: landmarks, pixels.
        least: [2], eye aspect ratios, right eye first.
    """
    points = face.points.copy()
    for (eye, _), target in zip(EYES_AND_BROWS, least, strict=True):
        current = eye_aspect_ratio(points[eye])
        if _MIN_ASPECT_RATIO < current < target - _ASPECT_RATIO_TOLERANCE:
            _open_by(points[eye], target - current)
    return replace(face, points=points)


def close_eyelids(frame: np.ndarray, open_face: Landmarks, face: Landmarks) -> np.ndarray:
    """Returns the frame with eyelids closed as far as those of a face.

    Args:
        frame: uint8 [H, W, 3].
        open_face: landmarks that the frame shows, result of `open_eyelids`, pixels of the frame.
        face: landmarks with the wanted eyelids, pixels of the frame.
    """
    result = frame
    for eye, brow in EYES_AND_BROWS:
        open_eye, closing_eye = open_face.points[eye].astype(float), open_face.points[eye].astype(float)
        current, target = eye_aspect_ratio(open_eye), eye_aspect_ratio(face.points[eye])
        if not _MIN_ASPECT_RATIO < target < current - _ASPECT_RATIO_TOLERANCE / 2 or current <= 0:
            continue
        ratio = target / current
        if ratio < _RELIABLE_EYE_RATIO:
            reliable_range = _RELIABLE_EYE_RATIO - _CLOSED_EYE_RATIO
            ratio = max((ratio - _CLOSED_EYE_RATIO) * _RELIABLE_EYE_RATIO / reliable_range, 0.0)
        _open_by(closing_eye, ratio * current - current)
        result = _draw_eyelids(result, open_eye, closing_eye, open_face.points[brow].mean(0))
    return result


def _open_by(eye: np.ndarray, change: float) -> None:
    """Moves an eye's lids [6, 2] apart by a change of the aspect ratio, in place."""
    x, y = eye_axes(eye)
    displacement = change * ((eye[3] - eye[0]) @ x) * y
    eye[UPPER_LID] -= UPPER_LID_SHARE * displacement
    eye[LOWER_LID] += (1 - UPPER_LID_SHARE) * displacement


def _draw_eyelids(frame: np.ndarray, open_eye: np.ndarray, closing_eye: np.ndarray, brow: np.ndarray) -> np.ndarray:
    """Returns the frame with the lids of one eye moved.

    Args:
        frame: uint8 [H, W, 3].
        open_eye: [6, 2], the eye in the frame, pixels.
        closing_eye: [6, 2], the eye with moved lids, pixels.
        brow: [2], center of the brow, pixels.
    """
    corner, (x, y) = open_eye[0], eye_axes(open_eye)
    width = float((open_eye[3] - corner) @ x)
    upper_lid_top = float(((open_eye[UPPER_LID] - corner) @ y).min())
    top = min(_LID_SKIN_BROW_FRACTION * float((brow - corner) @ y), upper_lid_top - 0.2 * width)
    bottom = float(((open_eye[LOWER_LID] - corner) @ y).max()) + _CHEEK_SKIN_EYE_WIDTHS * width
    box = np.array([corner + a * x + b * y for a in (0, width) for b in (top, bottom)])
    (left, upper), (right, lower) = np.clip([box.min(0), box.max(0) + 1], 0, frame.shape[1::-1]).astype(int)
    if width < _MIN_EYE_WIDTH_PIXELS or right <= left or lower <= upper:
        return frame
    pixels = np.stack(np.meshgrid(np.arange(left, right), np.arange(upper, lower)), -1) + 0.5
    along, down = (pixels - corner) @ x, (pixels - corner) @ y
    result = frame.copy()
    eye_pixels = result[upper:lower, left:right].astype(np.float32)
    axes = np.stack([x, y], 1)
    for lid, edge, side in ((LOWER_LID, bottom, 1), (UPPER_LID, top, -1)):  # the upper lid lies over the lower lid
        source, target = (lid_curve((eye[lid] - corner) @ axes, width, along) for eye in (open_eye, closing_eye))
        # Lashes move rigidly with the lid. The skin between lashes and edge is stretched or compressed.
        skin_end = target + side * _LASHES_EYE_WIDTHS * width
        weight = (down - edge) / np.where(np.abs(skin_end - edge) < 1e-3, 1e-3, skin_end - edge)
        displacement = (source - target) * np.clip(weight, 0, 1)
        positions = (pixels + displacement[..., None] * y - 0.5).astype(np.float32)
        skin = cv2.remap(frame, positions[..., 0], positions[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = (along > 0) & (along < width)
        alpha = np.where(inside, np.clip(side * (down - target) + 0.5, 0, 1), 0.0)[..., None]
        eye_pixels += alpha * (skin - eye_pixels)
    result[upper:lower, left:right] = eye_pixels + 0.5
    return result


def lid_curve(lid: np.ndarray, width: float, along: np.ndarray) -> np.ndarray:
    """Returns a lid's height along the eye: a cubic through two lid points and the corners.

    Args:
        lid: [2, 2], the two points, along and down from the first corner, pixels.
        width: of the eye, pixels.
        along: positions, pixels from the first corner.
    """
    x = np.clip(lid[:, 0] / width, [0.1, 0.55], [0.45, 0.9])
    height = lid[:, 1] / (x * (1 - x))
    t = np.clip(along / width, 0, 1)
    return t * (1 - t) * (height[0] + (height[1] - height[0]) * (t - x[0]) / (x[1] - x[0]))
