"""Tracking of one face through a video: detection, gaps, cuts, smoothing, mouth crops and shading."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from fewshot_heads.driving.face_follower import FaceFollower, has_jumped
from fewshot_heads.driving.face_follower import nearest as nearest  # callers import it from this module
from fewshot_heads.driving.motion import Motion as Motion  # callers import it from this module
from fewshot_heads.driving.mouth_crop import MouthCrop, share_color_reference
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
    check_at_least("face", face, 0)
    check_at_least("smooth", smooth, 0)
    rate = exact_rate(rate)
    detections = Spool()  # of landmarks, mouth and skin
    offsets: list[int | None] = []  # of each frame's detection
    frame_size = (0, 0)

    def keep(number: int, frame: np.ndarray, landmarks: Landmarks) -> None:
        shown = (MouthCrop.of(frame, landmarks), skin_detail(frame, landmarks)) if pixels else (None, None)
        offsets[number] = detections.append((landmarks, *shown))

    kept: deque[Future[None]] = deque()
    with ThreadPoolExecutor(len(detectors)) as pool, libraries_on_one_thread():
        follower = FaceFollower(detectors, pool, face)
        for number, (frame, landmarks) in enumerate(follower.locate(_checked(frames, name))):
            frame_size = frame.shape[:2]
            offsets.append(None)
            if landmarks:  # mouth and skin are kept beside the next detection
                kept.append(pool.submit(keep, number, frame, landmarks))
            while len(kept) > len(detectors):
                kept.popleft().result()
        for job in kept:
            job.result()
    lost = [i for i, offset in enumerate(offsets) if offset is None]
    if len(lost) == len(offsets):
        raise _no_face_found(name, face, len(offsets))
    held = _hold(offsets)

    def face_at(offset: int) -> Landmarks:
        return detections.read(offset)[0]

    def mouth_at(offset: int) -> MouthCrop:
        return detections.read(offset)[1]

    def skin_at(offset: int) -> np.ndarray:
        return detections.read(offset)[2]

    shots = _shots(LazySequence(face_at, held))
    rough_shots = (LazySequence(face_at, held[first:end]) for first, end in shots)
    smooth_faces = spooled(face for shot in rough_shots for face in smoothed(shot, smooth, float(rate)))
    motion = Motion(smooth_faces, lost, shots, frame_size, name, None, rate)
    if pixels:
        mouths = spooled(_finish_mouths(LazySequence(mouth_at, held), smooth_faces, shots))
        motion = replace(motion, mouths=mouths)
    if pixels and all(face.has_surface for face in smooth_faces):
        motion = replace(motion, shading=shading_of(LazySequence(skin_at, held), smooth_faces, shots))
    if lost:
        logger.warning("%s: no face in frames %s; the last one is held there", name, motion.describe_lost())
    return motion


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


def _hold(offsets: list[int | None]) -> list[int]:
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


def _finish_mouths(
    mouths: Sequence[MouthCrop], landmarks: Sequence[Landmarks], shots: list[tuple[int, int]]
) -> Iterator[MouthCrop]:
    """Yields the mouths with smoothed lips and one white reference per shot."""
    for first, end in shots:
        smooth = LazySequence(lambda i: mouths[i].with_landmarks(landmarks[i]), range(first, end))
        yield from share_color_reference(smooth)
