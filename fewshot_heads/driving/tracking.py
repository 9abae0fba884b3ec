"""Landmarks over a whole video: follow one face, bridge its losses, split at cuts, smooth without lag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from fewshot_heads.driving.mouth_crop import MouthCrop, share_white_reference
from fewshot_heads.driving.smoothing import smoothed
from fewshot_heads.errors import NoFaceFound
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.landmarks.crop import Crop

T = TypeVar("T")
_WINDOW = 1.9  # side of the window a face is looked for in, over the face's size
_JUMP = 0.5  # of the face's size between two frames: a cut, or another face
_PATIENCE = 10  # frames without a face after which only every tenth is searched: a search costs a second


@dataclass(frozen=True)
class Motion:
    """What a driving video contributes: one set of landmarks a frame, in pixels of its pictures.

    lost: frames in which no face was found; they hold the nearest earlier face (later, at the start).
    shots: (first, end) frame ranges between cuts. frame_size: (height, width), pixels.
    mouths: one a frame, if they were kept; None of drivers that are landmarks only.
    """

    landmarks: list[Landmarks]
    lost: list[int]
    shots: list[tuple[int, int]]
    frame_size: tuple[int, int]
    name: str = "the driver"
    mouths: list[MouthCrop] | None = None

    def __len__(self) -> int:
        return len(self.landmarks)

    def cropped(self, size: int, full: bool = False, within: Crop | None = None) -> list[Landmarks]:
        """Landmarks in pixels of a size x size crop: one box for each shot, or the full picture.

        within: where in a larger crop such a box lies (`Head.usual`); landmarks are in pixels of that then.
        """
        result: list[Landmarks] = []
        for first, end in self.shots:
            faces = self.landmarks[first:end]
            crop = Crop.full(*self.frame_size, size) if full else Crop.around(faces, size)
            result += [crop.to_crop(face) for face in faces]
        return [within.from_crop(face) for face in result] if within else result

    def describe_lost(self) -> str:
        """'12-40, 57': the lost frames, for a message."""
        runs: list[list[int]] = []
        for frame in self.lost:
            if runs and frame == runs[-1][-1] + 1:
                runs[-1][1:] = [frame]
            else:
                runs.append([frame])
        return ", ".join("-".join(map(str, run)) for run in runs)


def track(
    frames: Iterable[np.ndarray], detectors: list[Detector], face: int = 0, smooth: float = 1.0, rate: float = 25.0,
    name: str = "the driver", mouths: bool = False,
) -> Motion:  # fmt: skip
    """Follows one face through frames (uint8 [H, W, 3]), which are read once and not kept.

    detectors: as many frames are looked at in parallel as there are detectors.
    face: which face of the first frame that shows one; 0 is the largest.
    smooth: strength of the One-Euro filter, 0 switches it off. rate: frames per second.
    mouths: keep each frame's `MouthCrop`, for `Motion.mouths`.
    Raises NoFaceFound if no frame shows a face.
    """
    found: list[Landmarks | None] = []
    kept: list[MouthCrop | None] = []
    size = (0, 0)
    last: Landmarks | None = None
    misses = 0
    with ThreadPoolExecutor(len(detectors)) as pool:
        for group in _groups(frames, len(detectors)):
            size = group[0].shape[:2]
            if last is None:
                for frame in group:  # a search; from its result on the face is followed
                    search = misses < _PATIENCE or misses % _PATIENCE == 0
                    one = _follow(detectors[0], frame, last) if last else _find(detectors[0], frame, face, search)
                    misses, last = (0, one) if one else (misses + 1, last)
                    found.append(one)
                    if mouths:
                        kept.append(MouthCrop.of(frame, one) if one else None)
                continue
            search = misses < _PATIENCE or misses % _PATIENCE < len(group)
            seen = list(pool.map(_follow, detectors, group, [last] * len(group), [search] * len(group)))
            found += seen
            if mouths:
                kept += [MouthCrop.of(frame, each) if each else None for frame, each in zip(group, seen, strict=True)]
            misses = 0 if any(seen) else misses + len(group)
            last = next((landmarks for landmarks in reversed(seen) if landmarks), last)
    lost = [i for i, landmarks in enumerate(found) if landmarks is None]
    if not found or len(lost) == len(found):
        what, remedy = "no face in any", "use a clip that shows a face, or landmarks=face_alignment"
        if face > 0:
            what, remedy = f"driver_face={face} asked for, but never {face + 1} faces in one", "use driver_face=0"
        raise NoFaceFound(f"{name}: {what} of {len(found)} frames; {remedy}")
    held = _hold(found)
    shots = _shots(held)
    landmarks = [each for first, end in shots for each in smoothed(held[first:end], smooth, rate)]
    if not mouths:
        return Motion(landmarks, lost, shots, size, name)
    inside = [mouth.with_landmarks(face) for mouth, face in zip(_hold(kept), landmarks, strict=True)]
    lit = [mouth for first, end in shots for mouth in share_white_reference(inside[first:end])]
    return Motion(landmarks, lost, shots, size, name, lit)


def _groups(frames: Iterable[np.ndarray], count: int) -> Iterator[list[np.ndarray]]:
    iterator = iter(frames)
    while group := list(islice(iterator, count)):
        yield group


def _find(detector: Detector, frame: np.ndarray, face: int, search: bool) -> Landmarks | None:
    faces = detector.detect(frame) if search else []
    return faces[face] if face < len(faces) else None


def _follow(detector: Detector, frame: np.ndarray, last: Landmarks, search: bool = True) -> Landmarks | None:
    """The face nearest to where it last was; a full search when there is none near that place."""
    center = (last.box[:2] + last.box[2:]) / 2
    half = _WINDOW * last.size / 2
    height, width = frame.shape[:2]
    left, top = np.clip(center - half, 0, [width, height]).astype(int)
    right, bottom = np.clip(center + half, 0, [width, height]).astype(int)
    window = frame[top:bottom, left:right]
    seen = detector.track(window) if min(window.shape[:2]) >= 32 else None
    if seen is not None:
        seen = seen.moved(np.array([-left, -top], np.float32))
        if np.linalg.norm(seen.points.mean(0) - last.points.mean(0)) <= _JUMP * last.size:
            return seen
    faces = detector.detect(frame) if search else []
    return faces[nearest(faces, last)] if faces else seen


def nearest(faces: Sequence[Landmarks], one: Landmarks) -> int:
    """Which of several faces lies where one does; 0 if there are none."""
    return min(range(len(faces)), key=lambda i: float(np.linalg.norm(faces[i].box - one.box)), default=0)


def _hold(found: list[T | None]) -> list[T]:
    last = next(each for each in found if each)
    held = []
    for each in found:
        last = each or last
        held.append(last)
    return held


def _shots(faces: list[Landmarks]) -> list[tuple[int, int]]:
    cuts = [0]
    for i, (before, after) in enumerate(zip(faces, faces[1:], strict=False), start=1):
        jump = np.linalg.norm(before.points.mean(0) - after.points.mean(0))
        growth = abs(np.log(after.size / before.size))
        if jump > _JUMP * before.size or growth > _JUMP:
            cuts.append(i)
    return list(zip(cuts, [*cuts[1:], len(faces)], strict=True))
