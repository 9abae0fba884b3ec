"""Eyes that close: the generator paints them open, as in the picture, and the lids come down over them.

A spline that carried the lids would squeeze what is between them, so that a shut eye kept a sliver of iris.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS, LOWER_LID, UPPER_LID, eye_aspect_ratio, eye_axes

_UPPER_SHARE = 0.85  # of an opening is the upper lid's
_SHUT, _OPEN = 0.25, 0.55  # of the opening in the picture: detectors see so much of a shut eye; from here on it is true
_BELOW_BROW = 0.8  # of the way from eye to brow: the skin that a lid unfolds
_SWAPPED = -0.15  # an opening below which corners are swapped, far eye of a profile; lids of a shut one cross a bit
_SAME = 0.002  # of an opening: nothing to be seen
_LASHES = 0.1  # of an eye's width
_LEAST = 2.0  # pixels of an eye's width: the far one of a profile has no lids to be seen
_CHEEK = 0.4  # of an eye's width: the skin below that a lower lid takes along


def open_eyelids(face: Landmarks, least: np.ndarray) -> Landmarks:
    """The face with eyes at least so far open [2]."""
    points = face.points.copy()
    for (eye, _), wanted in zip(EYES_AND_BROWS, least, strict=True):
        now = eye_aspect_ratio(points[eye])
        if _SWAPPED < now < wanted - _SAME:
            _open_by(points[eye], wanted - now)
    return replace(face, points=points)


def close_eyelids(frame: np.ndarray, wide: Landmarks, face: Landmarks) -> np.ndarray:
    """A frame uint8 [H, W, 3] that shows the face `wide`, `open_eyelids`, with lids as far down as those of face.
    Both are
    in its pixels."""
    result = frame
    for eye, brow in EYES_AND_BROWS:
        before, now = wide.points[eye].astype(float), wide.points[eye].astype(float)
        was, wanted = eye_aspect_ratio(before), eye_aspect_ratio(face.points[eye])
        if not _SWAPPED < wanted < was - _SAME / 2 or was <= 0:
            continue
        share = wanted / was
        if share < _OPEN:
            share = max((share - _SHUT) * _OPEN / (_OPEN - _SHUT), 0.0)
        _open_by(now, share * was - was)
        result = _covered(result, before, now, wide.points[brow].mean(0))
    return result


def _open_by(eye: np.ndarray, much: float) -> None:
    """Moves the lids of an eye [6, 2] apart by so much of its width, in place."""
    x, y = eye_axes(eye)
    way = much * ((eye[3] - eye[0]) @ x) * y
    eye[UPPER_LID] -= _UPPER_SHARE * way
    eye[LOWER_LID] += (1 - _UPPER_SHARE) * way


def _covered(frame: np.ndarray, before: np.ndarray, now: np.ndarray, brow: np.ndarray) -> np.ndarray:
    """The frame with the lids of an eye [6, 2] brought from where they were to where they are now."""
    corner, (x, y) = before[0], eye_axes(before)
    width = float((before[3] - corner) @ x)
    top = min(_BELOW_BROW * float((brow - corner) @ y), float(((before[UPPER_LID] - corner) @ y).min()) - 0.2 * width)
    bottom = float(((before[LOWER_LID] - corner) @ y).max()) + _CHEEK * width
    box = np.array([corner + a * x + b * y for a in (0, width) for b in (top, bottom)])
    (left, upper), (right, lower) = np.clip([box.min(0), box.max(0) + 1], 0, frame.shape[1::-1]).astype(int)
    if width < _LEAST or right <= left or lower <= upper:
        return frame
    pixels = np.stack(np.meshgrid(np.arange(left, right), np.arange(upper, lower)), -1) + 0.5
    along, down = (pixels - corner) @ x, (pixels - corner) @ y
    result = frame.copy()
    part = result[upper:lower, left:right].astype(np.float32)
    for lid, edge, side in ((LOWER_LID, bottom, 1), (UPPER_LID, top, -1)):  # the upper one lies over the lower
        was, is_now = (_curve((points[lid] - corner) @ np.stack([x, y], 1), width, along) for points in (before, now))
        # Lashes go with the lid as they are; the skin between them and the edge is stretched, or pushed together.
        skin_end = is_now + side * _LASHES * width
        share = (down - edge) / np.where(np.abs(skin_end - edge) < 1e-3, 1e-3, skin_end - edge)
        way = (was - is_now) * np.clip(share, 0, 1)
        there = (pixels + way[..., None] * y - 0.5).astype(np.float32)
        skin = cv2.remap(frame, there[..., 0], there[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = (along > 0) & (along < width)
        alpha = np.where(inside, np.clip(side * (down - is_now) + 0.5, 0, 1), 0.0)[..., None]
        part += alpha * (skin - part)
    result[upper:lower, left:right] = part + 0.5
    return result


def _curve(lid: np.ndarray, width: float, along: np.ndarray) -> np.ndarray:
    """How far down a lid is at places `along` an eye of that width: a cubic through its two points [2, 2] (along, down)
    and the corners."""
    x = np.clip(lid[:, 0] / width, [0.1, 0.55], [0.45, 0.9])
    height = lid[:, 1] / (x * (1 - x))
    at = np.clip(along / width, 0, 1)
    return at * (1 - at) * (height[0] + (height[1] - height[0]) * (at - x[0]) / (x[1] - x[0]))
