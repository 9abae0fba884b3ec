"""Shading of the driver's skin: how the light on it changes where the face folds.

Liu, Shan, Zhang, "Expressive Expression Mapping with Ratio Images", SIGGRAPH 2001. A ratio image is the skin of a frame
over that of the driver at rest. Multiplied with the source's skin it carries nasolabial folds, crow's feet and frown
lines, but nothing that the driver's skin always has.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fewshot_heads.driving.reference import choose_reference
from fewshot_heads.driving.sequences import LazySequence
from fewshot_heads.imaging.masks import blurred_inside
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.face_map import CELL_HEAD_UNITS, cell_positions, facing, skin_mask
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, Pose, fit_pose, turn_between

# A fold is finer than the light on a face, and coarser than noise and pores.
_FINEST_HEAD_UNITS, _COARSEST_HEAD_UNITS = 0.02, 0.16
_DARK_LEVEL = 8.0  # added to the levels, whose noise in the dark would be folds in the logarithm
_LEVELS_PER_UNIT = 250.0  # of the stored logarithms, int8
_REST_FRAMES = 2  # on each side of the frame at rest, which share its noise
_NOISE, _LARGEST = 0.012, 0.35  # of a logarithm: what is less is noise, what is more is a shadow or a hand
_UNSEEN_COSINE, _SEEN_COSINE = 0.35, 0.6  # of the angle between skin and viewer, where a fold begins to be seen
_SMALL_TURN, _LARGE_TURN = 0.2, 0.45  # radians from rest, between which the light of the room replaces that of folds
_MEAN_FACE = CanonicalFace(Pose(np.eye(3), np.zeros(3), 1.0), np.vstack([MEAN_HEAD, MEAN_SURFACE]).astype(np.float64))


def skin_detail(image: np.ndarray, face: Landmarks) -> np.ndarray | None:
    """Returns the fine light and dark of a face's skin, int8 [CELLS, CELLS] of `landmarks.face_map`.

    Args:
        image: uint8 RGB [H, W, 3].
        face: landmarks, image pixels.

    Returns:
        Logarithms of the brightness over that of the surroundings. None for landmarks without a surface.
    """
    if not face.has_surface:
        return None
    positions = cell_positions(face)[..., :2]
    corner = np.floor(positions.min((0, 1))).clip(0, np.array(image.shape[1::-1]) - 1).astype(int)
    end = np.ceil(positions.max((0, 1))).astype(int) + 1
    pixels = image[corner[1] : max(end[1], corner[1] + 1), corner[0] : max(end[0], corner[0] + 1)]
    brightness = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    shrunk = min(1.0, 1 / (fit_pose(face).scale * CELL_HEAD_UNITS))  # a pixel for each cell: sampling then sees all
    if shrunk < 1:
        brightness = cv2.resize(brightness, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
    x, y = ((positions - corner) * shrunk - 0.5).astype(np.float32).transpose(2, 0, 1)
    levels = cv2.remap(brightness.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    logarithm, skin = np.log(levels + _DARK_LEVEL), (skin_mask() > 0).astype(np.float32)
    widths = _FINEST_HEAD_UNITS / CELL_HEAD_UNITS, _COARSEST_HEAD_UNITS / CELL_HEAD_UNITS
    fine, coarse = (blurred_inside(logarithm, skin, width) for width in widths)
    return ((fine - coarse) * _LEVELS_PER_UNIT).round().clip(-127, 127).astype(np.int8)


class RestingSkin:
    """The driver's skin at rest, against which frames are compared.

    Args:
        details: `skin_detail` of some frames of the driver at rest, one or more.
        face: the driver at rest.
    """

    def __init__(self, details: Sequence[np.ndarray], face: Landmarks):
        self._detail, self._pose = np.median(details, axis=0), fit_pose(face)

    def shading(self, detail: np.ndarray, face: Landmarks) -> np.ndarray:
        """Returns the logarithm of the expression ratio image of a frame, float32 [CELLS, CELLS], 0 or less.

        Args:
            detail: `skin_detail` of the frame.
            face: landmarks of the frame.
        """
        # A fold is dark. What is brighter than at rest was a fold then, or is a highlight that wanders with the head.
        darker = (self._detail - detail) / _LEVELS_PER_UNIT
        change = -(darker - _NOISE).clip(0, _LARGEST)
        seen = (facing(cell_positions(face)) - _UNSEEN_COSINE) / (_SEEN_COSINE - _UNSEEN_COSINE)
        turn = turn_between(self._pose, fit_pose(face))
        upright = (_LARGE_TURN - turn) / (_LARGE_TURN - _SMALL_TURN)
        return np.asarray(change * seen.clip(0, 1) * np.clip(upright, 0, 1) * skin_mask(), np.float32)


def shading_of(
    details: Sequence[np.ndarray], faces: Sequence[Landmarks], shots: Sequence[tuple[int, int]]
) -> LazySequence[np.ndarray]:
    """Returns the shading of each frame, see `RestingSkin.shading`.

    A driver is at rest in the frame of a shot in which the face is most like the mean face.

    Args:
        details: `skin_detail` of each frame.
        faces: the face of each frame, with the surface.
        shots: frame ranges (first, end) between cuts.
    """
    skins: list[RestingSkin] = []  # that each frame is compared with
    for first, end in shots:
        rest = first + choose_reference(_MEAN_FACE, (CanonicalFace.of(faces[i]) for i in range(first, end)))
        around = details[max(rest - _REST_FRAMES, first) : min(rest + _REST_FRAMES + 1, end)]
        skins += [RestingSkin(around, faces[rest])] * (end - first)
    return LazySequence(lambda frame: skins[frame].shading(details[frame], faces[frame]), range(len(faces)))


def scaled(shading: Sequence[np.ndarray] | None, gain: float) -> Sequence[np.ndarray] | None:
    """Returns weaker or stronger shading of each frame, None if there is none."""
    if shading is None or gain == 0:
        return None
    return LazySequence(lambda frame: gain * shading[frame], range(len(shading)))
