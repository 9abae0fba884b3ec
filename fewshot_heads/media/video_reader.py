"""Reading of videos, one frame at a time, at an exact and constant rate.

The memory in use does not grow with the length of the video.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from fewshot_heads.errors import BadInput
from fewshot_heads.media.decoding import open_container, picture_stream, sound_stream
from fewshot_heads.media.files import check_readable, check_readable_folder
from fewshot_heads.media.images import FORMATS, HEIC, is_heic, open_image, picture_format, read_image
from fewshot_heads.media.timed_frames import (
    DEFAULT_RATE,
    MIN_RATE,
    TimedFrame,
    animation_frames,
    container_frames,
    folder_frames,
)

VIDEOS = {".mp4", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".mkv", ".m4v", ".wmv", ".flv", ".ts", ".3gp", ".gif"}

MAX_RATE = 1000  # frames per second that a caller may ask for
# Frames per second up to which the rate in a file is believed. A browser (webm) writes the ticks of its clock, 1000.
_MAX_BELIEVED_RATE = 240
_MAX_DENOMINATOR = 100_000  # of a rate: FFmpeg holds numerators up to 2**31


@dataclass(frozen=True)
class Video:
    """A video that is decoded while its frames are iterated, as often as needed.

    The frames are uint8 RGB [height, width, 3], upright, with square pixels, at a constant rate. If the timing of the
    file varies, a frame that would come a whole frame too early or too late is dropped or repeated. So sound stays in
    sync. A damaged file gives the frames that can be decoded, and one warning.

    Attributes:
        path: the file, or a folder of images.
        rate: frames per second, exact.
        width: pixels.
        height: pixels.
        has_audio: whether the file has a sound track.
        duration: seconds, as far as the file tells, or None.
        start: time of the first frame, seconds on the clock of the file. The sound uses the same clock.
    """

    path: Path
    rate: Fraction
    width: int
    height: int
    has_audio: bool
    duration: float | None
    start: Fraction
    _frames: Callable[[], Generator[TimedFrame, None, None]] = field(repr=False)

    @property
    def frame_count_estimate(self) -> int | None:
        """Expected number of frames, for a progress bar."""
        return None if self.duration is None else max(1, round(self.duration * self.rate))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields all frames from the first one on."""
        with closing(_at_constant_rate(self._frames(), self.rate)) as frames:
            yield from frames


def read_video(path: str | Path, rate: Fraction | float | str | None = None) -> Video:
    """Opens a video, an animated picture or a folder of images.

    Reads the formats that FFmpeg finds in one file, such as mp4, mov, webm, avi and mpg, and animated gif, png, webp
    and avif. The content tells the format, not the suffix. The images of a folder are sorted naturally: 2 comes before
    10.

    Args:
        path: the file or folder.
        rate: frames per second. The default is the average rate of the file, and 25 for a folder.

    Raises:
        BadInput: if the path is missing, no regular file, empty or a single image, if no frame can be decoded, or if
            the frames or their rate are out of range.
    """
    path = Path(path)
    asked_rate = None if rate is None else exact_rate(rate)
    if os.path.isdir(path):
        return _open_folder(path, asked_rate or DEFAULT_RATE)
    check_readable(path)
    if picture_format(path):
        return _open_animation(path, asked_rate)
    if is_heic(path):
        raise BadInput(f"{path}: {HEIC}")
    return _open_container(path, asked_rate)


def exact_rate(rate: Fraction | float | str) -> Fraction:
    """Returns a frame rate as an exact fraction: 23.976023976023978 is 24000/1001.

    Args:
        rate: frames per second, such as 25, 29.97 or "30000/1001".

    Raises:
        BadInput: if the rate is no number from 0.1 to 1000.
    """
    try:
        exact = Fraction(str(rate)).limit_denominator(_MAX_DENOMINATOR)
    except (ValueError, ZeroDivisionError):
        exact = Fraction(0)
    if not MIN_RATE <= exact <= MAX_RATE:
        raise BadInput(f"rate {rate}: frames per second were expected, 0.1 to 1000, such as 25, 29.97 or 30000/1001")
    return exact


def _at_constant_rate(frames: Generator[TimedFrame, None, None], rate: Fraction) -> Generator[np.ndarray, None, None]:
    """Yields one frame per 1/rate seconds.

    A frame takes the next slot, unless that slot is a whole slot away from the time of the frame.
    """
    with closing(frames):
        current = next(frames, None)
        if current is None:
            return
        start, slot = current.time, 0
        for frame in frames:
            position = (frame.time - start) * rate
            target = slot + 1 if abs(position - slot - 1) < 1 else round(position)
            if target <= slot:
                continue
            for _ in range(target - slot):
                yield current.pixels()
            current, slot = frame, target
        for _ in range(max(1, round(current.duration * rate))):
            yield current.pixels()


def _open_container(path: Path, rate: Fraction | None) -> Video:
    """Opens any file that FFmpeg reads."""
    try:
        with open_container(path) as container:
            stream = picture_stream(container)
            if stream is None:
                raise BadInput(f"{path}: there is no video in this file; give one with pictures")
            has_audio = sound_stream(container) is not None
            duration = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
            if duration is None and container.duration:
                duration = container.duration / av.time_base
            video_rate = rate or _average_rate(path, container, stream)  # last, because it may read packets
    except av.FFmpegError as error:
        raise BadInput(
            f"{path}: not a video that can be read, or cut off; get a whole copy, as mp4 if you can"
        ) from error
    frames = container_frames(path, warn=False)
    first = next(frames, None)
    if first is None:
        raise BadInput(f"{path}: no frame of this video can be decoded; get a whole copy, as mp4 if you can")
    height, width, _ = first.pixels().shape
    frames.close()
    return Video(path, video_rate, width, height, has_audio, duration, first.time, lambda: container_frames(path))


def _average_rate(path: Path, container: Any, stream: Any) -> Fraction:
    """Returns the frame rate of a file.

    If the file names a rate that is too high to believe, the rate comes from the time stamps.
    """
    average = stream.average_rate or stream.base_rate or DEFAULT_RATE
    if average > _MAX_BELIEVED_RATE:
        stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        ticks = max(stamps, default=0) - min(stamps, default=0)
        if ticks:
            average = (len(stamps) - 1) / (ticks * stream.time_base)
        elif len(stamps) < 2:
            average = DEFAULT_RATE
    return _checked_rate(path, Fraction(average))


def _checked_rate(path: Path, average: Fraction) -> Fraction:
    """Returns a rate that can be written again. Raises BadInput for one that no player shows."""
    if not MIN_RATE <= average <= MAX_RATE:
        came, least = f"{float(average):g} frames per second", f"{float(MIN_RATE):g}"
        raise BadInput(f"{path}: {came}, where {least} to {MAX_RATE} were expected; make a copy with the true rate")
    return average.limit_denominator(100_000)


def _open_animation(path: Path, rate: Fraction | None) -> Video:
    """Opens an animated picture. A gif may have a single frame."""
    durations = [frame.duration for frame in animation_frames(path, warn=False)]
    if len(durations) == 1 and picture_format(path) != "GIF":
        raise BadInput(f"{path}: a single picture; give a video, a gif or a folder of frames")
    with open_image(path) as image:
        width, height = image.size
    if not durations:
        raise BadInput(f"{path}: no frame of this animation can be decoded; get a whole copy")
    seconds = sum(durations, Fraction(0))
    average = _checked_rate(path, len(durations) / seconds)
    return Video(
        path, rate or average, width, height, False, float(seconds), Fraction(0), lambda: animation_frames(path)
    )


def _open_folder(path: Path, rate: Fraction) -> Video:
    """Opens a folder of images."""
    check_readable_folder(path)
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    files = [file for file in path.glob("*") if file.suffix.lower() in suffixes and not file.name.startswith(".")]
    if not files:
        raise BadInput(f"{path}: no pictures in this folder; name a folder of frames, or a video")
    files.sort(
        key=lambda file: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", file.name.lower())]
    )
    height, width, _ = read_image(files[0]).shape
    duration = float(len(files) / rate)
    return Video(
        path, rate, width, height, False, duration, Fraction(0), lambda: folder_frames(files, rate, height, width)
    )
