"""Outline of a body that goes on under its head: the neck, and shoulders behind hair."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fewshot_heads.imaging.matting import nearest_values
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import NECK_TOP, fit_pose

# Head units, in the frame of `landmarks.pose.MEAN_HEAD`. The chin is at y = 1.17 and the ears' lobes at 0.5.
_NECK_BASE = (0.0, 1.20, 0.85)  # lower end of the neck's axis
_NECK_HALF_WIDTH = 0.58  # of a neck that hair hides: three quarters of a face's half width at the ears
_TAPER = 0.2  # share of its width that a neck loses toward the lobes, as it leans back under the skull
_BEHIND_HAIR = 0.3  # how far the neck goes on above the lobes, where the hair of the back hides its end
_VISIBLE_NECK = (0.35, 0.75)  # half widths of a silhouette that is a neck's
_SOFT = 0.02  # half of the width of the outline's edge


@dataclass(frozen=True)
class NeckAxis:
    """The neck's axis in the image.

    Attributes:
        base: [2], pixels, level with the chin.
        top: [2], pixels, level with the ears' lobes.
        unit: pixels of a head unit.
    """

    base: np.ndarray
    top: np.ndarray
    unit: float

    @classmethod
    def of(cls, face: Landmarks) -> NeckAxis:
        """Returns the axis under a face, which ends at least half a head unit higher than it begins."""
        pose = fit_pose(face)
        base, top = pose.apply(np.vstack([_NECK_BASE, NECK_TOP]))[:, :2]
        top[1] = min(top[1], base[1] - pose.scale / 2)
        return cls(base, top, pose.scale)

    def x(self, y: np.ndarray) -> np.ndarray:
        """Returns the column of the axis at rows y. Under the base the axis stands upright."""
        share = np.clip((self.base[1] - y) / (self.base[1] - self.top[1]), 0, 1)
        return self.base[0] + share * (self.top[0] - self.base[0])


def body_under_head(person: np.ndarray, hole: np.ndarray, axis: NeckAxis) -> np.ndarray:
    """Returns the opacity of the body in the hole that the head leaves, float32 [H, W], 0 to 1.

    On each side, the silhouette of the shoulder or neck goes on as a smooth curve along the neck's axis, which ends
    level with the ears' lobes. A turned head so uncovers the line of a nape.

    Args:
        person: float32 [H, W], 0 to 1, matte of the person. Only pixels outside of the hole are read.
        hole: bool [H, W], where the head hides what is behind.
        axis: axis of the neck.
    """
    left, right, background = _crossings(person, hole, axis)
    alpha = hole.astype(np.float32)
    if not background or left is None or right is None:
        return alpha
    rim = nearest_values(person > 0.5, ~hole).astype(np.float32)
    y, x = (np.arange(n, dtype=np.float32) for n in hole.shape)
    soft = 2 * _SOFT * axis.unit
    for crossing, sign in ((left, -1), (right, 1)):
        profile = _profile(y, crossing, sign, _flare(person, hole, crossing, sign, axis), axis)
        distance = sign * (profile[:, None] - x) / np.sqrt(1 + np.gradient(profile) ** 2)[:, None]
        outward = np.where(sign * (x - crossing[0]) < 0, 1.0, rim)
        alpha *= np.where(y[:, None] > crossing[1], outward, np.clip(0.5 + distance / soft, 0, 1))
    top = min(axis.top[1], left[1], right[1]) - _BEHIND_HAIR * axis.unit
    return (alpha * np.clip((y - top) / soft, 0, 1)[:, None]).astype(np.float32)


def _profile(y: np.ndarray, crossing: np.ndarray, sign: int, flare: float, axis: NeckAxis) -> np.ndarray:
    """Returns the column of one side's outline at rows y, [N].

    Args:
        y: rows, [N], ascending.
        crossing: [2], where the silhouette goes under the head.
        sign: -1 for the left side, 1 for the right.
        flare: columns that the silhouette goes outward for each row down, at the crossing.
        axis: axis of the neck.
    """
    unit, center = axis.unit, axis.x(y)
    reach = sign * (crossing[0] - float(axis.x(crossing[1:])[0])) / unit
    half = float(np.clip(reach, *_VISIBLE_NECK)) if reach < _VISIBLE_NECK[1] else _NECK_HALF_WIDTH
    start = min(crossing[1], axis.base[1])
    share = np.clip((start - y) / max(start - axis.top[1], 0.3 * unit), 0, 1)
    column = center + sign * half * unit * (1 - _TAPER * share**1.25)
    offset = crossing[0] - float(np.interp(crossing[1], y, column))
    rise = np.clip(abs(offset) / max(flare, 0.1), 0.3 * abs(offset), max((crossing[1] - axis.top[1]) / 3, 0.05 * unit))
    return column + offset * np.exp(-np.maximum(crossing[1] - y, 0) / max(float(rise), 1e-3))


def _flare(person: np.ndarray, hole: np.ndarray, crossing: np.ndarray, sign: int, axis: NeckAxis) -> float:
    """Returns how many columns the silhouette goes outward for each row down, below a crossing."""
    height, width = hole.shape
    first, last = crossing[1] + np.array([0.06, 0.3]) * axis.unit
    rows = np.arange(int(max(first, crossing[1] + 1)), round(last) + 2)
    begin = int(np.clip(crossing[0] - sign * 0.08 * axis.unit, 0, width - 1))
    slopes = []
    for row in rows[rows < height]:
        line = (person[row] > 0.5) | hole[row]
        line = line[begin:] if sign > 0 else line[begin::-1]
        run = len(line) if line.all() else int(line.argmin())
        if run:
            slopes.append((begin + sign * run - crossing[0]) * sign / (row - crossing[1]))
    return float(np.clip(np.median(slopes), 0, 4)) if slopes else 1.0


def _crossings(
    person: np.ndarray, hole: np.ndarray, axis: NeckAxis
) -> tuple[np.ndarray | None, np.ndarray | None, bool]:
    """Returns where the silhouette goes under the head, left and right, [2] each, and whether there is background.

    From below the chin, the hole's contour is followed to both sides until it leaves the person.
    """
    height, width = hole.shape
    wide = cv2.copyMakeBorder(hole.astype(np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    wide = cv2.dilate(wide, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None, None, False
    contour = max(contours, key=cv2.contourArea)[:, 0].astype(float) - 2
    x, y = contour[:, 0], contour[:, 1]
    labels = person[y.astype(int).clip(0, height - 1), x.astype(int).clip(0, width - 1)] > 0.5
    labels &= (x > -0.5) & (x < width - 0.5)  # a head that the image cuts off hides no silhouette there
    labels |= y > height - 1.5  # what is below the image is body
    background = not labels.all()
    under = axis.base + [0, 0.2 * axis.unit]
    distance = np.hypot(x - under[0], np.minimum(y - under[1], 0)) + np.where(labels, 0, 10 * axis.unit)
    distance += np.where(y > axis.base[1] - 0.3 * axis.unit, 0, 10 * axis.unit)
    begin = int(distance.argmin())
    if not labels[begin]:
        sides = [np.array([axis.base[0] + s * _NECK_HALF_WIDTH * axis.unit, float(height)]) for s in (-1, 1)]
        return sides[0], sides[1], True
    found: list[np.ndarray | None] = []
    for step in (-1, 1):
        order = (begin + step * np.arange(len(x))) % len(x)
        away = np.flatnonzero(_settled(~labels[order], max(round(0.06 * axis.unit), 1)))
        found.append(contour[order[away[0]]] if away.size else None)
    first, second = found
    if first is None or second is None:
        return None, None, background
    if first[0] > second[0]:
        first, second = second, first
    return first, second, background


def _settled(flags: np.ndarray, length: int) -> np.ndarray:
    """Returns where a run of at least `length` flags begins or goes on."""
    sums = np.cumsum(np.r_[0, flags])
    return np.r_[sums[length:] - sums[:-length] == length, np.zeros(length - 1, bool)][: len(flags)]
