"""Detection of one face, frame after frame."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fewshot_heads.landmarks import Detector, Landmarks

MAX_JUMP_RATIO = 0.5  # displacement over face size, from one frame to the next; more is a cut or another face
_WINDOW_RATIO = 1.9  # side of the window that a face is tracked in, over the face's last size
_MIN_WINDOW_PIXELS = 32
# After 10 frames without a face, only every tenth frame is searched: a search takes a second.
_MAX_SEARCHED_MISSES = 10


class FaceFollower:
    """Finds one face and follows it from frame to frame.

    Args:
        detectors: at least as many as there are frames in a group.
        pool: runs one detector in each thread.
        face: index of the face to find. 0 is the largest.
    """

    def __init__(self, detectors: list[Detector], pool: ThreadPoolExecutor, face: int) -> None:
        self._detectors, self._pool, self._face = detectors, pool, face
        self._last: Landmarks | None = None  # the face as it was last detected
        self._misses = 0  # frames since then, or since the start

    def locate(self, group: list[np.ndarray]) -> list[Landmarks | None]:
        """Returns the face in each frame of a group, None where the face is lost.

        Args:
            group: consecutive frames, uint8 RGB [H, W, 3], the next of the video.
        """
        if self._last is None:
            return [self._find_or_follow(frame) for frame in group]
        return self._follow_in_parallel(group, self._last)

    def _find_or_follow(self, frame: np.ndarray) -> Landmarks | None:
        """Returns the face in one frame: finds it first, then follows it."""
        if self._last is None:
            face = _find(self._detectors[0], frame, self._face, self._may_search(1))
        else:
            face = _follow(self._detectors[0], frame, self._last)
        self._remember([face])
        return face

    def _follow_in_parallel(self, group: list[np.ndarray], last: Landmarks) -> list[Landmarks | None]:
        """Returns the face in each frame, near where it was before the group."""
        count = len(group)
        search = self._may_search(count)
        faces = list(self._pool.map(_follow, self._detectors, group, [last] * count, [search] * count))
        self._remember(faces)
        return faces

    def _may_search(self, count: int) -> bool:
        """Returns whether whole frames may be searched among the next `count` frames."""
        return self._misses < _MAX_SEARCHED_MISSES or self._misses % _MAX_SEARCHED_MISSES < count

    def _remember(self, faces: list[Landmarks | None]) -> None:
        """Updates the last known face and the number of misses."""
        self._misses = 0 if any(faces) else self._misses + len(faces)
        self._last = next((face for face in reversed(faces) if face), self._last)


def nearest(faces: Sequence[Landmarks], target: Landmarks) -> int:
    """Returns the index of the face whose box is nearest to the target's.

    Args:
        faces: candidates, pixels. Without candidates, the index is 0.
        target: face to compare with, same pixels.
    """
    return min(range(len(faces)), key=lambda i: float(np.linalg.norm(faces[i].box - target.box)), default=0)


def _find(detector: Detector, frame: np.ndarray, face: int, search: bool) -> Landmarks | None:
    """Returns the face with this index in a frame, or None."""
    faces = detector.detect(frame) if search else []
    return faces[face] if face < len(faces) else None


def _follow(detector: Detector, frame: np.ndarray, last: Landmarks, search: bool = True) -> Landmarks | None:
    """Returns the face near its last position, else the nearest face of the whole frame.

    Args:
        detector: the detector.
        frame: uint8 RGB [H, W, 3].
        last: face as it was last detected, frame pixels.
        search: whether the whole frame may be searched.
    """
    center = (last.box[:2] + last.box[2:]) / 2
    half = _WINDOW_RATIO * last.size / 2
    height, width = frame.shape[:2]
    left, top = np.clip(center - half, 0, [width, height]).astype(int)
    right, bottom = np.clip(center + half, 0, [width, height]).astype(int)
    window = frame[top:bottom, left:right]
    face = detector.track(window) if min(window.shape[:2]) >= _MIN_WINDOW_PIXELS else None
    if face is not None:
        face = face.moved(np.array([-left, -top], np.float32))
        if np.linalg.norm(face.points.mean(0) - last.points.mean(0)) <= MAX_JUMP_RATIO * last.size:
            return face
    faces = detector.detect(frame) if search else []
    return faces[nearest(faces, last)] if faces else face
