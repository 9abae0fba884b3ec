"""Tracking of one face through a video: detection, gaps, cuts, smoothing, mouth crops and shading."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fewshot_heads.driving.face_follower import FaceFollower, has_jumped
from fewshot_heads.driving.face_follower import nearest as nearest  # callers import it from this module
from fewshot_heads.driving.motion import Motion as Motion  # callers import it from this module
from fewshot_heads.driving.mouth_crop import MouthCrop, color_reference
from fewshot_heads.driving.sequences import LazySequence, Spool, spooled
from fewshot_heads.driving.shading import shading_of, skin_detail
from fewshot_heads.driving.smoothing import smoothed
from fewshot_heads.errors import BadInput, NoFaceFound, check_at_least
from fewshot_heads.imaging.threads import libraries_on_one_thread
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.media.images import check_image
from fewshot_heads.media.timed_frames import DEFAULT_RATE
from fewshot_heads.media.video_reader import exact_rate

logger = logging.getLogger(__name__)

_MAX_LOG_GROWTH = 0.5  # natural logarithm of the change in size, from one frame to the next; more is a cut


class Seen(NamedTuple):
    """What one frame shows of the face.

    Attributes:
        frame_size: height and width of the frame, pixels.
        landmarks: frame pixels.
        mouth: the mouth, or None if pixels are not kept.
        skin: `skin_detail`, or None as for the mouth, and without a surface.
    """

    frame_size: tuple[int, int]
    landmarks: Landmarks
    mouth: MouthCrop | None
    skin: np.ndarray | None

    @classmethod
    def of(cls, frame: np.ndarray, landmarks: Landmarks, pixels: bool) -> Seen:
        """Returns what a frame, uint8 RGB [H, W, 3], shows of a face; `pixels` as in `track`."""
        shown = (MouthCrop.of(frame, landmarks), skin_detail(frame, landmarks)) if pixels else (None, None)
        return cls((frame.shape[0], frame.shape[1]), landmarks, *shown)


def track(
    frames: Iterable[np.ndarray], detectors: list[Detector], face: int = 0, smooth: float = 1.0,
    rate: Fraction | float = DEFAULT_RATE, name: str = "the driver", pixels: bool = False,
) -> Motion:  # fmt: skip
    """Returns the motion of one face through a video.

    Frames are read once and not kept. A frame without a face takes the face of the frame before, with a warning.

    Args:
        frames: uint8 RGB [H, W, 3], all of one size, with sides as `media.images.check_size` allows them.
        detectors: one detector for each frame that is processed in parallel.
        face: index of the face in the first frame that has so many faces. 0 is the largest.
        smooth: strength of the One-Euro filter. 0 switches the filter off.
        rate: frames per second.
        name: name of the driver, for messages.
        pixels: whether to keep what frames show beside landmarks: `Motion.mouths` and `Motion.shading`.

    Raises:
        BadInput: if a frame has another type or size, or an option is out of range.
        NoFaceFound: if no frame shows the face.
    """
    return motion_of(observe(frames, detectors, face, name, pixels), face, smooth, rate, name)


def observe(
    frames: Iterable[np.ndarray], detectors: list[Detector], face: int = 0, name: str = "the driver",
    pixels: bool = False,
) -> Iterator[Seen | None]:  # fmt: skip
    """Yields what each frame shows of one face, None where the face is lost. Arguments and errors are of `track`."""
    check_at_least("face", face, 0)
    ahead: deque[Future[Seen] | None] = deque()  # the mouth and the skin of a frame are looked at beside the next one
    with ThreadPoolExecutor(len(detectors)) as pool, libraries_on_one_thread():
        for frame, landmarks in FaceFollower(detectors, pool, face).locate(_checked(frames, name)):
            ahead.append(pool.submit(Seen.of, frame, landmarks, pixels) if landmarks else None)
            while len(ahead) > len(detectors):
                yield _result(ahead.popleft())
        yield from map(_result, ahead)


def motion_of(
    observed: Iterable[Seen | None], face: int = 0, smooth: float = 1.0, rate: Fraction | float = DEFAULT_RATE,
    name: str = "the driver",
) -> Motion:  # fmt: skip
    """Returns the motion that `observe` saw. Arguments and errors are of `track`."""
    check_at_least("smooth", smooth, 0)
    rate = exact_rate(rate)
    spool, frame_size = Spool(), (0, 0)
    offsets: list[list[int] | None] = []  # of what each frame shows
    for seen in observed:
        frame_size = seen.frame_size if seen else frame_size
        offsets.append([spool.append(each) for each in seen[1:]] if seen else None)
    lost = [i for i, offset in enumerate(offsets) if offset is None]
    if len(lost) == len(offsets):
        raise _no_face_found(name, face, len(offsets))
    faces, mouths, skins = (LazySequence(spool.read, column) for column in zip(*_hold(offsets), strict=True))
    shots = _shots(faces)
    rough_shots = (LazySequence(faces.__getitem__, range(*shot)) for shot in shots)
    smooth_faces = spooled(face for shot in rough_shots for face in smoothed(shot, smooth, float(rate)))
    motion = Motion(smooth_faces, lost, shots, frame_size, name, None, rate)
    if mouths[0] is not None:
        motion = replace(motion, mouths=_finished(mouths, smooth_faces, shots))
        if all(face.has_surface for face in smooth_faces):
            motion = replace(motion, shading=shading_of(skins, smooth_faces, shots))
    if lost:
        logger.warning("%s: no face in frames %s; the last one is held there", name, motion.describe_lost())
    return motion


def _result(seen: Future[Seen] | None) -> Seen | None:
    return seen.result() if seen else None


def _checked(frames: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """Yields frames that all have the type of images and one size. A detector does not survive an empty frame."""
    shape = None
    for index, frame in enumerate(frames):
        check_image(f"{name}, frame {index}", frame)
        shape = shape or frame.shape
        if frame.shape != shape:
            raise BadInput(f"{name}, frame {index}: got {list(frame.shape)}, where frame 0 has {list(shape)}")
        yield frame


def _no_face_found(name: str, face: int, count: int) -> NoFaceFound:
    """Returns the error for a driver whose frames do not show the face.

    Args:
        name: name of the driver.
        face: index of the face.
        count: number of frames.
    """
    problem, remedy = "no face in any", "use a clip that shows a face, or landmarks=face_alignment"
    if face > 0:
        problem, remedy = f"driver_face={face} asked for, but never {face + 1} faces in one", "use driver_face=0"
    return NoFaceFound(f"{name}: {problem} of {count} frames; {remedy}")


def _hold(offsets: list[list[int] | None]) -> list[list[int]]:
    """Returns the offsets with each gap filled by the offset before.

    The first offset fills a gap at the start.
    """
    last = next(offset for offset in offsets if offset is not None)
    held = []
    for offset in offsets:
        last = last if offset is None else offset
        held.append(last)
    return held


def _shots(faces: Sequence[Landmarks]) -> list[tuple[int, int]]:
    """Returns frame ranges (first, end) between cuts, where the face jumps or changes its size."""
    cuts = [0]
    for i, (before, after) in enumerate(pairwise(faces), start=1):
        if is_cut(before, after):
            cuts.append(i)
    return list(zip(cuts, [*cuts[1:], len(faces)], strict=True))


def is_cut(before: Landmarks, after: Landmarks) -> bool:
    """Returns whether the face jumps or changes its size from one frame to the next."""
    return has_jumped(before, after) or bool(abs(np.log(after.size / before.size)) > _MAX_LOG_GROWTH)


def _finished(
    mouths: Sequence[MouthCrop], landmarks: Sequence[Landmarks], shots: Sequence[tuple[int, int]]
) -> LazySequence[MouthCrop]:
    """Returns the mouths with smoothed lips and one reference of colors for each shot.

    With a reference for each frame, teeth would flicker when the eyes blink.
    """
    references = []
    for first, end in shots:
        references += [color_reference(LazySequence(mouths.__getitem__, range(first, end)))] * (end - first)

    def finished(frame: int) -> MouthCrop:
        return mouths[frame].with_landmarks(landmarks[frame]).with_color_reference(*references[frame])

    return LazySequence(finished, range(len(mouths)))
