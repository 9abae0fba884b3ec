"""Teeth that a source image shows: fixed to the skull, so that lips pass over them.

The warp of an expression moves what is between the lips along with the lips. It would squeeze teeth where a mouth
closes, and stretch them where it opens.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.landmarks import INNER_LIPS, LOWER_INNER_LIP, UPPER_INNER_LIP, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import change_of_pose, fit_pose, view_turn
from fewshot_heads.landmarks.regions import MOUTH
from fewshot_heads.rendering.region_compositing import composite

_NOSE_BASE = slice(31, 36)  # the landmarks nearest to the teeth that no expression moves far
_CORNERS = INNER_LIPS.start + np.array([0, 4])
_LEAST_OPENING = 0.12  # of lips that show teeth, gap over width of the mouth; others show too little of them
_SEEN_TURN, _HIDDEN_TURN = 0.5, 0.8  # radians from the source's pose, between which other teeth are seen
# All that follows is over the gap of the source's lips. How far teeth are stretched while a mouth opens beyond the
# source, and the opening from which they are not: stretched ones look like long teeth, and are no second row.
_LONGEST, _OPEN = 1.25, 2.0
_HIGHEST = 0.4  # rise of the upper lip, up to which teeth follow it: what the source hides above them is not known
_UNCOVERED = 0.2  # gap below the teeth, over which what is behind them appears
_DARK, _NARROW, _WIDE = 0.7, 0.4, 1.4  # darkness of what is behind a narrow gap, and gaps over which it becomes light


def shows_teeth(face: Landmarks) -> bool:
    """Returns whether a mouth is open enough to show teeth.

    Args:
        face: landmarks of a source image.
    """
    return CanonicalFace.of(face).mouth_opening() > _LEAST_OPENING


class _Place(NamedTuple):
    """Where teeth are in a frame: the map [2, 3] from the image's pixels, and the gap below them."""

    matrix: np.ndarray
    below: float


class Teeth:
    """What one source image shows between the lips, see `shows_teeth`.

    Args:
        texture: uint8 [R, R, 3], the image.
        face: landmarks, pixels of the texture.
    """

    def __init__(self, texture: np.ndarray, face: Landmarks):
        box = MOUTH.crop_box(face)
        self._pose, self._points = fit_pose(face), box.to_crop(face).points
        self._inside, self._mask = box.cut(texture), MOUTH.mask(box.to_crop(face), box.size)
        across = self._points[_CORNERS[1]] - self._points[_CORNERS[0]]
        self._down = np.array([-across[1], across[0]]) / np.linalg.norm(across)
        self._top, bottom = (self._points[lip].mean(0) for lip in (UPPER_INNER_LIP, LOWER_INNER_LIP))
        self._gap = float((bottom - self._top) @ self._down)

    def disocclusion(self, face: Landmarks) -> float:
        """Returns how much is seen of what is behind the teeth, 0 to 1.

        Args:
            face: landmarks of a frame.
        """
        return _ramp(self._place(face).below, 0, _UNCOVERED)

    def show(self, frame: np.ndarray, face: Landmarks) -> np.ndarray:
        """Returns a frame with the teeth between its lips.

        Args:
            frame: uint8 [H, W, 3].
            face: its landmarks, pixels.
        """
        box, place = MOUTH.crop_box(face), self._place(face)
        matrix = place.matrix - np.column_stack([np.zeros((2, 2)), [box.left, box.top]])
        inside, mask = (
            cv2.warpAffine(image, matrix, (box.size, box.size), borderMode=border).astype(np.float32)
            for image, border in ((self._inside, cv2.BORDER_REPLICATE), (self._mask, cv2.BORDER_CONSTANT))
        )
        dark = _DARK * _ramp(place.below, 0, _UNCOVERED) * (1 - _ramp(place.below, _NARROW, _WIDE))
        behind = box.cut(frame) * np.float32(1 - dark)
        opacity = 1 - _ramp(view_turn(self._pose, fit_pose(face)), _SEEN_TURN, _HIDDEN_TURN)
        return composite(MOUTH, frame, face, box, behind + mask[..., None] * (inside - behind), opacity)

    def _place(self, face: Landmarks) -> _Place:
        """Returns where the teeth are: turned with the skull about the nose's base, and a little longer if need be."""
        turn = change_of_pose(self._pose, fit_pose(face))[0][:2, :2]
        offset = face.points[_NOSE_BASE].mean(0) - turn @ self._points[_NOSE_BASE].mean(0)
        upper, lower = (
            float((np.linalg.solve(turn, face.points[lip].mean(0) - offset) - self._top) @ self._down) / self._gap
            for lip in (UPPER_INNER_LIP, LOWER_INNER_LIP)
        )
        top, end = float(np.clip(upper, -_HIGHEST, 0)), _end(lower)
        longer = np.eye(2) + (end - top - 1) * np.outer(self._down, self._down)
        start = self._top + top * self._gap * self._down
        return _Place(np.column_stack([turn @ longer, offset + turn @ (start - longer @ self._top)]), lower - end)


def _end(lower_lip: float) -> float:
    """Returns where teeth end, below where they begin in the source; both over the source's gap."""
    return min(max(lower_lip, 1.0), _LONGEST - (_LONGEST - 1) * _ramp(lower_lip, _LONGEST, _OPEN))


def _ramp(value: float, start: float, end: float) -> float:
    """Returns how far a value is on the way between two others, 0 to 1."""
    return float(np.clip((value - start) / (end - start), 0, 1))
