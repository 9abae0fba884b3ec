"""Retargeting: the driver's motion on the source's own face.

A face is split as  pixels = scale * R @ (shape + expression) + translation  (see `geometry.Pose`). Relative
motion moves the source's pose and expression by what changed in the driver since a reference frame, so the
driver's shape never enters. All landmarks here are in pixels of their crops.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.landmarks import (
    INNER_LIPS,
    LEFT_EYE,
    LEFT_IRIS,
    LOWER_INNER_LIP,
    OUTER_LIPS,
    RIGHT_EYE,
    RIGHT_IRIS,
    UPPER_INNER_LIP,
    Landmarks,
)
from fewshot_heads.landmarks.aspect_ratio import lip_gap
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, Pose

_EYES = ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS))
_LIPS = slice(OUTER_LIPS.start, INNER_LIPS.stop)
_FARTHEST = np.radians(35)  # a head turns from its picture: beyond it the cheek that appears is in no picture
_HIDDEN = np.radians(60)  # a head turned so far shows nothing of its other cheek, which then must not appear
_ASKANCE = np.radians(48)  # it turns away from the camera: beyond it the far cheek's landmarks slide into each other
_NECK = np.array([[0.0, 1.6, 0.6]])  # head units: where a head sits on its shoulders
_OFF = 0.4  # head units that it leaves shoulders which stand still; talking and leaning take it 0.25 away at most
_GROWTH = 1.3  # how many times larger or smaller it becomes on them, coming nearer or going away
_FREE = 0.7  # share of these that is gone without any resistance
_SCALE_LIMITS = (0.5, 2.0)  # a part of the source moves at most twice, at least half as far as the driver's
# How the points go when the lips part by 1: mostly the jaw drops, a little the upper lip rises.
_JAW_DROP = np.zeros((70, 3))
_JAW_DROP[[49, 50, 51, 52, 53, 61, 62, 63], 1] = -0.15
_JAW_DROP[[55, 56, 57, 58, 59, 65, 66, 67], 1] = 0.85
_JAW_DROP[[4, 5, 6, 7, 8, 9, 10, 11, 12], 1] = [0.1, 0.3, 0.5, 0.65, 0.7, 0.65, 0.5, 0.3, 0.1]
_NEARBY = 0.15  # head units about a point of the surface in which landmarks say how it moves
_apart = ((MEAN_SURFACE[:, None] - MEAN_HEAD) ** 2).sum(-1)
_SPREAD = np.exp(-(_apart - _apart.min(1, keepdims=True)) / (2 * _NEARBY**2))
_SPREAD /= _SPREAD.sum(1, keepdims=True)  # [151, 70]: how much each landmark says


def choose_reference(source: CanonicalFace, driver: Iterable[CanonicalFace]) -> int:
    """Index of the driver frame whose pose and expression are nearest to the source's."""

    def distance(face: CanonicalFace) -> float:
        turn = np.linalg.norm(cv2.Rodrigues(face.pose.rotation @ source.pose.rotation.T)[0])
        eyes = sum(abs(face.eye_opening(eye) - source.eye_opening(eye)) for eye, _ in _EYES)
        mouth = abs(face.mouth_opening() - source.mouth_opening())
        return float(turn + 2 * eyes + 4 * mouth)

    return int(np.argmin([distance(face) for face in driver]))


def retarget(
    source: Landmarks,
    driver: Sequence[Landmarks],
    motion: str = "relative",
    pose: float = 1.0,
    expression: float = 1.0,
    reference: int | None = None,
    side: int | None = None,
    still_body: bool = False,
) -> list[Landmarks]:
    """The source's landmarks, moved as the driver moves.

    motion: "relative" keeps the source's face shape and starting pose; "absolute" takes the driver's landmarks
        as they are, shape included (the 2019 paper's protocol; right when source and driver are one person).
    pose, expression: strength of the head's motion and of the face's, 1 as in the driver; with "absolute" they
        do not apply.
    reference: driver frame at which the source looks as in its picture; None chooses the nearest.
    side: pixels of the square crop, which relative motion then keeps the face in; None has no edges.
    still_body: whether the head goes back into a picture in which its shoulders stand still; relative motion then keeps
        it on them (`_limit_translation`), where a driver walks about.
    Relative motion also turns the head no farther than its picture bears (`_limit_rotation`).
    """
    if motion == "absolute":
        return list(driver)
    own = CanonicalFace.of(source)
    if reference is None:
        reference = choose_reference(
            own, map(CanonicalFace.of, driver)
        )  # split twice rather than kept: clips can be long
    start = CanonicalFace.of(driver[reference])
    gains = _part_gains(own, start)
    moved = (_move(own, start, CanonicalFace.of(now), gains, pose, expression, still_body) for now in driver)
    faces = (Landmarks.from_array(points, source.confidence) for points in moved)
    return [face if side is None else _clamp_to_crop(face, source, side) for face in faces]


def _part_gains(own: CanonicalFace, start: CanonicalFace) -> np.ndarray:
    """[70, 1]: how far each point of the source moves for the driver's unit, by the size of its part.

    Lids are scaled by eye opening, so a driver's closed eye closes the source's, wide or narrow.
    """
    gains = np.ones((70, 1))
    for eye, iris in _EYES:
        gains[eye] = own.eye_opening(eye) * _width(own, eye) / max(start.eye_opening(eye) * _width(start, eye), 1e-6)
        gains[iris] = _width(own, eye) / _width(start, eye)
    gains[_LIPS] = own.mouth_width() / start.mouth_width()
    return np.clip(gains, *_SCALE_LIMITS)


def _width(face: CanonicalFace, eye: slice) -> float:
    corners = face.shape[eye][[0, 3]]
    return float(np.linalg.norm(corners[0] - corners[1]))


def _move(
    own: CanonicalFace,
    start: CanonicalFace,
    now: CanonicalFace,
    gains: np.ndarray,
    pose: float,
    expression: float,
    still_body: bool,
) -> np.ndarray:
    count = len(own.shape)
    local = own.shape + expression * _on_all(gains, count) * _changed(start, now, count)
    # A reference with parted lips says nothing of how far the source's are apart: this one measure is absolute.
    opening = own.mouth_opening() + expression * (now.mouth_opening() - own.mouth_opening())
    local += _on_all(_JAW_DROP, count) * (max(opening, 0.0) * own.mouth_width() - lip_gap(local))
    local = _prevent_crossing_lids(local)
    turn, _ = cv2.Rodrigues(now.pose.rotation @ start.pose.rotation.T)
    rotation = _limit_rotation(cv2.Rodrigues(pose * turn)[0] @ own.pose.rotation, own.pose.rotation)
    growth = (now.pose.scale / start.pose.scale) ** pose
    travel = pose * (now.pose.translation - start.pose.translation) * own.pose.scale / start.pose.scale
    moved = Pose(rotation, own.pose.translation + travel, own.pose.scale * growth)
    return (_limit_translation(moved, own.pose) if still_body else moved).apply(local)


def _changed(start: CanonicalFace, now: CanonicalFace, count: int) -> np.ndarray:
    """[count, 3]: what `now` differs by from `start`; of a surface not seen in both, what the landmarks say."""
    seen = min(len(start.shape), len(now.shape))
    return _on_all(now.shape[:seen] - start.shape[:seen], count)


def _on_all(values: np.ndarray, count: int) -> np.ndarray:
    """Values [70 or 221, D] for the landmarks, or for the surface too: [count, D]."""
    if len(values) < count:
        values = np.vstack([values, _SPREAD @ values])
    return values[:count]


def _limit_rotation(rotation: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """A head's rotation, held back softly where it leaves its picture's [3, 3] by more than `_FARTHEST`, or looks away
    from the camera by more than `_ASKANCE` (or than in the picture). Leaning sideways is free.

    A head that is turned away in its picture may come back the less the more it is: see `_HIDDEN`.
    """
    wanted, own = _looking(rotation), _looking(picture)
    change, askance = wanted - own, float(np.linalg.norm(own))
    back = max(0.0, float(-change @ own)) / max(float(np.linalg.norm(change)), 1e-9)  # toward the camera and past it
    held = own + _soft_limit(change, _FARTHEST * max(1 - back / _HIDDEN, 0.1))
    held = _soft_limit(held, max(_ASKANCE, askance / _FREE))
    return _rotation_between(_direction(wanted), _direction(held)) @ rotation


def _limit_translation(moved: Pose, picture: Pose) -> Pose:
    """A pose held back softly where its neck leaves that of the picture by more than `_OFF`, or its size by more than
    `_GROWTH`."""
    growth = _soft_limit(np.log([moved.scale / picture.scale]), np.log(_GROWTH))
    sized = replace(moved, scale=picture.scale * float(np.exp(growth[0])))
    way = (sized.apply(_NECK) - picture.apply(_NECK))[0]
    held = np.append(_soft_limit(way[:2], _OFF * picture.scale), way[2])
    return replace(sized, translation=sized.translation + held - way)


def _looking(rotation: np.ndarray) -> np.ndarray:
    """[2] the angle between a head's long axis, nose to nape, and the camera's (radians), toward picture's x and y."""
    x, y, z = rotation[:, 2]
    across = np.hypot(x, y)
    return np.arctan2(across, z) * np.array([x, y]) / max(across, 1e-9)


def _direction(looking: np.ndarray) -> np.ndarray:
    """The unit vector [3] whose `_looking` this is."""
    angle = float(np.linalg.norm(looking))
    return np.append(np.sin(angle) * looking / max(angle, 1e-9), np.cos(angle))


def _rotation_between(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The shortest rotation [3, 3] from one unit vector to another."""
    axis = np.cross(here, there)
    sine = float(np.linalg.norm(axis))
    return cv2.Rodrigues(axis / max(sine, 1e-9) * np.arctan2(sine, float(here @ there)))[0]


def _soft_limit(vector: np.ndarray, limit: float) -> np.ndarray:
    """The vector, free up to `_FREE` of the limit, from there on ever slower toward it."""
    length, free = float(np.linalg.norm(vector)), _FREE * limit
    if length <= free:
        return vector
    room = limit - free
    return vector / length * (free + room * np.tanh((length - free) / room))


def _clamp_to_crop(face: Landmarks, source: Landmarks, side: int) -> Landmarks:
    """A face moved, and made smaller if need be, so that it leaves the crop no farther than the source's does."""
    (left, top, right, bottom), own = face.box, source.box
    low, high = np.minimum(own[:2], 0.0), np.maximum(own[2:], float(side))
    size = np.array([right - left, bottom - top])
    shrink = float(min(1.0, ((high - low) / size).min()))
    middle = np.array([left + right, top + bottom]) / 2
    half = shrink * size / 2
    kept = np.clip(middle, low + half, high - half)
    return face.moved((middle - kept / shrink).astype(np.float32), shrink)


def _prevent_crossing_lids(local: np.ndarray) -> np.ndarray:
    """Lips and lids meet but never cross: where lower lies above upper, both take the middle."""
    upper = np.concatenate([UPPER_INNER_LIP, [37, 38, 43, 44]])
    lower = np.concatenate([LOWER_INNER_LIP, [41, 40, 47, 46]])
    crossed = local[lower, 1] < local[upper, 1]
    middle = (local[upper, 1] + local[lower, 1]) / 2
    local[upper, 1] = np.where(crossed, middle, local[upper, 1])
    local[lower, 1] = np.where(crossed, middle, local[lower, 1])
    return local
