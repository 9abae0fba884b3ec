"""Closes eyelids over eyes that the generator renders as open as in the source image.

A warp of the lids alone would compress the eye between them, and a closed eye would show a thin stripe of iris.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS, LOWER_LID, UPPER_LID, eye_aspect_ratio, eye_axes
from fewshot_heads.landmarks.eye_frame import EyeFrame
from fewshot_heads.landmarks.lids import UPPER_LID_SHARE
from fewshot_heads.rendering.eye_patch import EyePatch

# Eye aspect ratio over that of the source. For a closed eye, MediaPipe reports 0.1 to 0.3. From 0.55 on it is right.
_CLOSED_EYE_RATIO, _RELIABLE_EYE_RATIO = 0.3, 0.55
# Eye aspect ratio below which the corners are swapped, as in the far eye of a profile. Closed lids may cross a little.
_MIN_ASPECT_RATIO = -0.15
_ASPECT_RATIO_TOLERANCE = 0.002  # a smaller change is invisible
_LASHES_EYE_WIDTHS = 0.1  # length of the lashes
_MIN_EYE_WIDTH_PIXELS = 2.0  # in a narrower eye, such as the far one of a profile, no lids are visible
_LASH_FADE_EYE_WIDTHS = 0.06  # over which lashes fade into the skin
_CHEEK_SKIN_EYE_WIDTHS = 0.4  # height of the skin that a lower lid moves
_LID_PLACES = 9  # along the eye, of which the highest and the lowest bound what is drawn


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


def closed_shares(open_face: Landmarks, face: Landmarks) -> np.ndarray:
    """Returns by which share of their gap the lids of a face come together, [2], 0 to 1, right eye first.

    Args:
        open_face: result of `open_eyelids`.
        face: landmarks with the wanted eyelids.
    """
    return np.array([_closed_share(open_face.points[eye], face.points[eye]) for eye, _ in EYES_AND_BROWS])


def _closed_share(open_eye: np.ndarray, eye: np.ndarray) -> float:
    """Returns by which share of their gap lids [6, 2] come together."""
    current, target = eye_aspect_ratio(open_eye), eye_aspect_ratio(eye)
    if not _MIN_ASPECT_RATIO < target < current - _ASPECT_RATIO_TOLERANCE / 2 or current <= 0:
        return 0.0
    ratio = target / current
    if ratio < _RELIABLE_EYE_RATIO:
        reliable_range = _RELIABLE_EYE_RATIO - _CLOSED_EYE_RATIO
        ratio = max((ratio - _CLOSED_EYE_RATIO) * _RELIABLE_EYE_RATIO / reliable_range, 0.0)
    return float(1 - ratio)


def close_eyelids(frame: np.ndarray, open_face: Landmarks, closed: np.ndarray) -> np.ndarray:
    """Returns the frame with eyelids closed.

    Args:
        frame: uint8 [H, W, 3].
        open_face: landmarks that the frame shows, result of `open_eyelids`, pixels of the frame.
        closed: [2], result of `closed_shares`.
    """
    for (eye, brow), share in zip(EYES_AND_BROWS, closed, strict=True):
        if share > 0:
            frame = _draw_eyelids(frame, EyeFrame(open_face.points[eye]), share, open_face.points[brow])
    return frame


def _open_by(eye: np.ndarray, change: float) -> None:
    """Moves an eye's lids [6, 2] apart by a change of the aspect ratio, in place."""
    x, y = eye_axes(eye)
    displacement = change * ((eye[3] - eye[0]) @ x) * y
    eye[UPPER_LID] -= UPPER_LID_SHARE * displacement
    eye[LOWER_LID] += (1 - UPPER_LID_SHARE) * displacement


def _draw_eyelids(frame: np.ndarray, eye: EyeFrame, closed: float, brow: np.ndarray) -> np.ndarray:
    """Returns the frame with the lids of one eye moved.

    Args:
        frame: uint8 [H, W, 3].
        eye: the open eye in the frame.
        closed: share of the gap by which the lids come together, 0 to 1.
        brow: [5, 2], pixels.
    """
    if eye.width < _MIN_EYE_WIDTH_PIXELS:
        return frame
    places = np.linspace(0, eye.width, _LID_PLACES)
    _, lower = eye.lids(places)
    highest = eye.skin_top(brow, places).min()
    bottom = lower.max() + _CHEEK_SKIN_EYE_WIDTHS * eye.width
    patch = EyePatch(frame, eye, highest, bottom)
    upper, lower = eye.lids(patch.along)
    top = eye.skin_top(brow, patch.along)
    travel = closed * (lower - upper)
    lashes = _LASHES_EYE_WIDTHS * eye.width
    lids = (lower, -(1 - UPPER_LID_SHARE) * travel, bottom, 1), (upper, UPPER_LID_SHARE * travel, top, -1)
    for lid, displacement, edge, side in lids:  # the upper lid lies over the lower lid
        above = side * (patch.down - lid - displacement)  # from the moved lid to the pixel, away from the eye
        alpha = np.clip(above + 0.5, 0, 1)
        # The skin between lashes and edge is stretched or compressed.
        skin_end = lid + displacement + side * lashes
        length = np.where(np.abs(skin_end - edge) < 1e-3, 1e-3, skin_end - edge)
        source = patch.down - displacement * np.clip((patch.down - edge) / length, 0, 1)
        patch.draw(patch.along, source, alpha)
        # Lashes move rigidly with the lid.
        fade = np.clip(1 - (above - lashes) / (_LASH_FADE_EYE_WIDTHS * eye.width), 0, 1)
        patch.draw(patch.along, patch.down - displacement, alpha * fade)
    return patch.result
