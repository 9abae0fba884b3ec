"""Detection of one face, frame after frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

from fewshot_heads.driving.quarter_turns import detect_turned, turns_to_upright
from fewshot_heads.landmarks import Detector, Landmarks

_MAX_JUMP_RATIO = 0.5  # displacement over face size, from one frame to the next; more is a cut or another face
# After 10 frames without a face, only every tenth frame is searched: a search takes a second. The frames between wait
# until a search finds the face, which is then followed back in time. Large frames wait in smaller numbers.
_MAX_SEARCHED_MISSES = 10
_MAX_WAITING_FRAMES, _MAX_WAITING_BYTES = 9, 2**28


class FaceFollower:
    """Finds one face and follows it from frame to frame, in videos that lie on a side or stand upside down too.

    Args:
        detectors: one detector for each frame that is processed in parallel.
        pool: runs one detector in each thread.
        face: index of the face to find. 0 is the largest.
    """

    def __init__(self, detectors: list[Detector], pool: ThreadPoolExecutor, face: int) -> None:
        self._detectors, self._pool, self._face = detectors, pool, face
        self._last: Landmarks | None = None  # the face as it was last detected
        self._misses = 0  # frames since then, or since the start
        self._turns = 0  # quarter turns counterclockwise that make the face upright

    def locate(self, frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, Landmarks | None]]:
        """Yields each frame of a video with its face, None where the face is lost.

        Args:
            frames: uint8 RGB [H, W, 3], all of one size.
        """
        waiting: list[np.ndarray] = []
        for group in _groups(frames, len(self._detectors)):
            searched = self._misses < _MAX_SEARCHED_MISSES or _is_full(waiting)
            faces = self._locate_in_group(group, searched)
            if not searched and not any(faces):
                waiting += group
                continue
            yield from zip(waiting, self._follow_back(waiting, faces), strict=True)
            yield from zip(group, faces, strict=True)
            waiting = []
        if waiting:  # the video ends before the next search
            *before, last = waiting
            faces = self._locate_in_group([last], search=True)
            yield from zip(before, self._follow_back(before, faces), strict=True)
            yield last, faces[0]

    def _locate_in_group(self, group: list[np.ndarray], search: bool) -> list[Landmarks | None]:
        """Returns the face in each of a few consecutive frames; `search` allows to search whole frames."""
        faces: list[Landmarks | None] = []
        while self._last is None and len(faces) < len(group):
            faces.append(self._find(group[len(faces)]) if search else None)
            self._last = faces[-1]
        rest = group[len(faces) :]
        if self._last is not None and rest:
            count = len(rest)
            faces += self._pool.map(self._follow, self._detectors, rest, [self._last] * count, [search] * count)
        self._misses = 0 if any(faces) else self._misses + len(faces)
        self._last = next((face for face in reversed(faces) if face), self._last)
        return faces

    def _follow_back(self, waiting: list[np.ndarray], faces: list[Landmarks | None]) -> list[Landmarks | None]:
        """Returns the face in each waiting frame, from the first of the faces that were found after them."""
        later = next((face for face in faces if face), None)
        found: list[Landmarks | None] = []
        for frame in reversed(waiting):
            found.append(self._follow(self._detectors[0], frame, later) if later else None)
            later = found[-1] or later
        return found[::-1]

    def _find(self, frame: np.ndarray) -> Landmarks | None:
        """Returns the face with the wanted index in a frame, or None, and keeps how the video lies."""
        detector, number = self._detectors[0], self._face
        faces = detector.detect(frame)
        turns = turns_to_upright(frame, faces[number] if number < len(faces) else None, detector)
        upright = detect_turned(frame, detector, turns) if turns else []
        if number < len(upright):
            faces, self._turns = upright, turns
        return faces[number] if number < len(faces) else None

    def _follow(self, detector: Detector, frame: np.ndarray, last: Landmarks, search: bool = True) -> Landmarks | None:
        """Returns the face near its last position, else the nearest face of the whole frame.

        Args:
            detector: the detector.
            frame: uint8 RGB [H, W, 3].
            last: face as it was last detected, frame pixels.
            search: whether the whole frame may be searched.
        """
        face = detector.follow(frame, last)
        if face is not None and not has_jumped(last, face):
            return face
        faces = detect_turned(frame, detector, self._turns) if search else []
        return faces[nearest(faces, last)] if faces else face


def nearest(faces: Sequence[Landmarks], target: Landmarks) -> int:
    """Returns the index of the face whose box is nearest to the target's.

    Args:
        faces: candidates, pixels. Without candidates, the index is 0.
        target: face to compare with, same pixels.
    """
    return min(range(len(faces)), key=lambda i: float(np.linalg.norm(faces[i].box - target.box)), default=0)


def has_jumped(before: Landmarks, after: Landmarks) -> bool:
    """Returns whether a face moved farther than faces do from one frame to the next: a cut, or another face."""
    jump = np.linalg.norm(before.points.mean(0) - after.points.mean(0))
    return bool(jump > _MAX_JUMP_RATIO * before.size)


def _is_full(waiting: list[np.ndarray]) -> bool:
    """Returns whether no further frame should wait for a search."""
    return len(waiting) >= _MAX_WAITING_FRAMES or sum(frame.nbytes for frame in waiting) >= _MAX_WAITING_BYTES


def _groups(frames: Iterable[np.ndarray], count: int) -> Iterator[list[np.ndarray]]:
    """Yields `count` frames at a time, fewer at the end."""
    iterator = iter(frames)
    while group := list(islice(iterator, count)):
        yield group
