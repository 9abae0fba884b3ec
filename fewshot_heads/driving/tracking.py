"""Tracking of one face through a video: detection, gaps, cuts, smoothing and mouth crops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fewshot_heads.driving.face_follower import MAX_JUMP_RATIO, FaceFollower
from fewshot_heads.driving.face_follower import nearest as nearest  # callers import it from this module
from fewshot_heads.driving.mouth_crop import MouthCrop, share_color_reference
from fewshot_heads.driving.smoothing import smoothed
from fewshot_heads.errors import BadInput, NoFaceFound, check_at_least
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.media.images import check_image
from fewshot_heads.media.video_reader import exact_rate

T = TypeVar("T")
_MAX_LOG_GROWTH = 0.5  # natural logarithm of the change in size, from one frame to the next; more is a cut


@dataclass(frozen=True)
class Motion:
    """Landmarks of a driving video, one face for each frame.

    Attributes:
        landmarks: one face for each frame, frame pixels.
        lost: indices of the frames without a detected face. They hold the nearest earlier face, or the first one.
        shots: frame ranges (first, end) between cuts.
        frame_size: height and width of a frame, pixels.
        name: name of the driver, for messages.
        mouths: one mouth for each frame. None if they were not kept, or if the driver has no images.
    """

    landmarks: list[Landmarks]
    lost: list[int]
    shots: list[tuple[int, int]]
    frame_size: tuple[int, int]
    name: str = "the driver"
    mouths: list[MouthCrop] | None = None

    def __len__(self) -> int:
        """Returns the number of frames."""
        return len(self.landmarks)

    def cropped(self, size: int, full: bool = False, within: Crop | None = None) -> list[Landmarks]:
        """Returns the landmarks in crop pixels, with one crop for each shot.

        Args:
            size: side of the crop, pixels.
            full: whether the crop is the frame's largest centered square, instead of a square around the shot's faces.
            within: where this crop lies in a larger one (`Head.usual`). The result is then in pixels of the larger one.
        """
        result: list[Landmarks] = []
        for first, end in self.shots:
            faces = self.landmarks[first:end]
            crop = Crop.full(*self.frame_size, size) if full else Crop.around(faces, size)
            result += [crop.to_crop(face) for face in faces]
        return [within.from_crop(face) for face in result] if within else result

    def describe_lost(self) -> str:
        """Returns the lost frames as ranges for a message: "12-40, 57"."""
        ranges: list[list[int]] = []
        for frame in self.lost:
            if ranges and frame == ranges[-1][-1] + 1:
                ranges[-1][1:] = [frame]
            else:
                ranges.append([frame])
        return ", ".join("-".join(map(str, bounds)) for bounds in ranges)


def track(
    frames: Iterable[np.ndarray], detectors: list[Detector], face: int = 0, smooth: float = 1.0, rate: float = 25.0,
    name: str = "the driver", mouths: bool = False,
) -> Motion:  # fmt: skip
    """Returns the motion of one face through a video.

    Frames are read once and not kept. A frame without a face takes the face of the frame before.

    Args:
        frames: uint8 RGB [H, W, 3], all of one size, with sides as `media.images.check_size` allows them.
        detectors: one detector for each frame that is processed in parallel.
        face: index of the face in the first frame that has so many faces. 0 is the largest.
        smooth: strength of the One-Euro filter. 0 switches the filter off.
        rate: frames per second.
        name: name of the driver, for messages.
        mouths: whether to keep each frame's `MouthCrop` as `Motion.mouths`.

    Raises:
        BadInput: if a frame has another type or size, or an option is out of range.
        NoFaceFound: if no frame shows the face.
    """
    check_at_least("face", face, 0)
    check_at_least("smooth", smooth, 0)
    exact_rate(rate)
    found: list[Landmarks | None] = []
    mouth_crops: list[Future[MouthCrop] | None] = []
    frame_size = (0, 0)
    with ThreadPoolExecutor(len(detectors)) as pool:
        follower = FaceFollower(detectors, pool, face)
        for frame, landmarks in follower.locate(_checked(frames, name)):
            frame_size = frame.shape[:2]
            found.append(landmarks)
            if mouths:
                mouth_crops.append(pool.submit(MouthCrop.of, frame, landmarks) if landmarks else None)
    lost = [i for i, item in enumerate(found) if item is None]
    if len(lost) == len(found):
        raise _no_face_found(name, face, len(found))
    held = _hold(found)
    shots = _shots(held)
    smooth_faces = [face for first, end in shots for face in smoothed(held[first:end], smooth, rate)]
    cropped = [crop.result() if crop else None for crop in mouth_crops]
    final_mouths = _finish_mouths(cropped, smooth_faces, shots) if mouths else None
    return Motion(smooth_faces, lost, shots, frame_size, name, final_mouths)


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


def _hold(found: list[T | None]) -> list[T]:
    """Returns the items with each gap filled by the item before.

    The first item fills a gap at the start.
    """
    last = next(item for item in found if item)
    held = []
    for item in found:
        last = item or last
        held.append(last)
    return held


def _shots(faces: list[Landmarks]) -> list[tuple[int, int]]:
    """Returns frame ranges (first, end) between cuts, where the face jumps or changes its size."""
    cuts = [0]
    for i, (before, after) in enumerate(zip(faces, faces[1:], strict=False), start=1):
        jump = np.linalg.norm(before.points.mean(0) - after.points.mean(0))
        log_growth = abs(np.log(after.size / before.size))
        if jump > MAX_JUMP_RATIO * before.size or log_growth > _MAX_LOG_GROWTH:
            cuts.append(i)
    return list(zip(cuts, [*cuts[1:], len(faces)], strict=True))


def _finish_mouths(
    mouths: list[MouthCrop | None], landmarks: list[Landmarks], shots: list[tuple[int, int]]
) -> list[MouthCrop]:
    """Returns mouths without gaps, with smoothed lips and one white reference per shot."""
    smooth = [mouth.with_landmarks(face) for mouth, face in zip(_hold(mouths), landmarks, strict=True)]
    return [mouth for first, end in shots for mouth in share_color_reference(smooth[first:end])]
