"""Videos in, frame by frame: memory stays the same for any length, and the rate is exact and constant."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import imageio.v3 as iio
import numpy as np
from PIL import Image

from fewshot_heads.errors import BadInput
from fewshot_heads.media.decoding import decoded, display_matrix, picture_stream, pixels
from fewshot_heads.media.images import read_image

VIDEOS = {".mp4", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".mkv", ".m4v", ".wmv", ".flv", ".ts", ".3gp", ".gif"}

_FASTEST = 240  # frames per second that a file is believed
_JUMP_BACK, _JUMP_AHEAD = 1, 600  # seconds of a file's clock between frames; beyond these it started anew


class TimedFrame(NamedTuple):
    """A decoded frame: when it is shown, for how long (seconds; 0 if unknown), and how to get its pixels."""

    time: Fraction
    lasts: Fraction
    pixels: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Video:
    """A lazy video: iterate it, as often as you like, for uint8 RGB [height,width,3] frames, upright, square-pixelled.

    Frames come at the constant `rate` (frames per second, exact). Where the file's own timing varies, a frame is
    repeated or dropped whenever it would be shown a whole frame too early or too late, so sound stays in sync.
    A file that is damaged on the way gives what decodes, and one warning.
    """

    path: Path
    rate: Fraction
    width: int
    height: int
    has_audio: bool
    duration: float | None  # seconds, as far as the file says
    start: Fraction  # seconds of the first frame on the file's clock, which its sound keeps too
    _frames: Callable[[], Generator[TimedFrame, None, None]] = field(repr=False)

    @property
    def frame_count_estimate(self) -> int | None:
        """Frames to expect, for a progress bar."""
        return None if self.duration is None else max(1, round(self.duration * self.rate))

    def __iter__(self) -> Iterator[np.ndarray]:
        with closing(_at_constant_rate(self._frames(), self.rate)) as frames:
            yield from frames


def read_video(path: str | Path, rate: Fraction | float | str | None = None) -> Video:
    """Open mp4, mov, webm, avi, mpg and whatever else FFmpeg reads, a gif, or a folder of pictures in natural order.

    `rate` (frames per second) is the file's average unless given; a folder has 25. Raises BadInput.
    """
    path = Path(path)
    wanted = None if rate is None else exact_rate(rate)
    if path.is_dir():
        return _open_folder(path, wanted or Fraction(25))
    if not path.exists():
        raise BadInput(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: the file is empty (0 bytes); get a whole copy")
    return _open_gif(path, wanted) if path.suffix.lower() == ".gif" else _open_container(path, wanted)


def exact_rate(rate: Fraction | float | str) -> Fraction:
    """Frames per second as a fraction: 25, 29.97, "30000/1001". Raises BadInput."""
    try:
        exact = Fraction(str(rate))
    except (ValueError, ZeroDivisionError):
        exact = Fraction(0)
    if not 0 < exact <= 1000:
        raise BadInput(f"rate {rate}: frames per second were expected, such as 25, 29.97 or 30000/1001")
    return exact


def _at_constant_rate(frames: Generator[TimedFrame, None, None], rate: Fraction) -> Generator[np.ndarray, None, None]:
    """One frame per 1/rate seconds: each takes the next slot unless that is a whole slot away from its time."""
    with closing(frames):
        shown = next(frames, None)
        if shown is None:
            return
        start, slot = shown.time, 0
        for frame in frames:
            position = (frame.time - start) * rate
            wanted = slot + 1 if abs(position - slot - 1) < 1 else round(position)
            if wanted <= slot:
                continue
            for _ in range(wanted - slot):
                yield shown.pixels()
            shown, slot = frame, wanted
        for _ in range(max(1, round(shown.lasts * rate))):
            yield shown.pixels()


def _open_container(path: Path, rate: Fraction | None) -> Video:
    try:
        with av.open(str(path)) as container:
            if container.format.name.endswith(("_pipe", "image2")):
                raise BadInput(f"{path}: a single picture; give a video, a gif or a folder of frames")
            stream = picture_stream(container)
            if stream is None:
                raise BadInput(f"{path}: there is no video in this file; give one with pictures")
            sound = any(track.codec_context is not None for track in container.streams.audio)
            duration = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
            if duration is None and container.duration:
                duration = container.duration / av.time_base
            average = _average_rate(container, stream)  # last: it may read on
    except av.FFmpegError as error:
        raise BadInput(
            f"{path}: not a video that can be read, or cut off; get a whole copy, as mp4 if you can"
        ) from error
    frames = _container_frames(path, warn=False)
    first = next(frames, None)
    if first is None:
        raise BadInput(f"{path}: no frame of this video can be decoded; get a whole copy, as mp4 if you can")
    height, width, _ = first.pixels().shape
    frames.close()
    exact = rate or Fraction(average).limit_denominator(100_000)
    return Video(path, exact, width, height, sound, duration, first.time, lambda: _container_frames(path))


def _average_rate(container: Any, stream: Any) -> Fraction:
    """Frames per second as the file says; as its frames are timed where that cannot be meant.

    What a browser records (webm) gives the ticks of its clock, 1000 a second, for a rate.
    """
    claimed = stream.average_rate or stream.base_rate or Fraction(25)
    if claimed <= _FASTEST:
        return Fraction(claimed)
    stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    ticks = max(stamps, default=0) - min(stamps, default=0)
    return Fraction(len(stamps) - 1) / (ticks * stream.time_base) if ticks else Fraction(25)


def _container_frames(path: Path, warn: bool = True) -> Generator[TimedFrame, None, None]:
    with av.open(str(path)) as container:
        stream = picture_stream(container)
        stream.thread_type = "AUTO"
        aspect = stream.sample_aspect_ratio  # not to be asked for once the container is closed
        step = 1 / (stream.average_rate or stream.base_rate or Fraction(25))
        damage: list[str] = []
        turn: list[int] | None = None
        count, end, shift = 0, Fraction(0), Fraction(0)
        for frame in decoded(container, stream, damage):
            turn = turn or display_matrix(frame)
            stamp = frame.pts if frame.pts is not None else frame.dts
            time = end if stamp is None else Fraction(stamp * frame.time_base) + shift
            if count and not -_JUMP_BACK < time - end < _JUMP_AHEAD:  # files joined as they are
                damage.append("its clock jumps")
                shift, time = shift + end - time, end
            lasts = Fraction((frame.duration or 0) * frame.time_base)
            count, end = count + 1, time + (lasts or step)
            yield TimedFrame(time, lasts, lambda frame=frame, turn=turn: pixels(frame, aspect, turn))  # type: ignore[misc]
        if not stream.duration and container.duration:  # Matroska marks no cut, but says how long the file should be
            announced = Fraction(container.duration + (container.start_time or 0), av.time_base)
            damage += ["shorter than announced"] * (announced - end > Fraction(1, 2))
        if damage and warn:
            warnings.warn(f"{path}: damaged or cut off ({damage[0]}); {count} frames could be read", stacklevel=2)


def _open_gif(path: Path, rate: Fraction | None) -> Video:
    try:
        with _gif(path) as file:
            height, width = file.properties(index=0).shape[:2]
            count = file.properties(index=...).n_images or 1
            seconds = [_shown_for(file, index) for index in range(count)]
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise BadInput(f"{path}: not a gif that can be read, or cut off; get a whole copy") from error
    exact = rate or (Fraction(count) / sum(seconds)).limit_denominator(100_000)
    return Video(path, exact, width, height, False, float(sum(seconds)), Fraction(0), lambda: _gif_frames(path))


def _gif_frames(path: Path) -> Generator[TimedFrame, None, None]:
    with _gif(path) as file:
        time = Fraction(0)
        for index in range(file.properties(index=...).n_images or 1):
            try:
                image = file.read(index=index, mode="RGBA")
            except (OSError, ValueError, EOFError, SyntaxError) as error:
                warnings.warn(f"{path}: damaged or cut off ({error}); {index} frames could be read", stacklevel=2)
                return
            alpha = image[..., 3:].astype(np.uint16)
            white = ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
            lasts = _shown_for(file, index)
            yield TimedFrame(time, lasts, white.copy)
            time += lasts


def _gif(path: Path) -> Any:
    return iio.imopen(path, "r", plugin="pillow")


def _shown_for(file: Any, index: int) -> Fraction:
    milliseconds = round(file.metadata(index=index).get("duration") or 0)
    return Fraction(milliseconds if milliseconds > 10 else 100, 1000)  # as browsers do


def _open_folder(path: Path, rate: Fraction) -> Video:
    pictures = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files = [file for file in path.iterdir() if file.suffix.lower() in pictures and not file.name.startswith(".")]
    if not files:
        raise BadInput(f"{path}: no pictures in this folder; name a folder of frames, or a video")
    files.sort(
        key=lambda file: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name.lower())]
    )
    height, width, _ = read_image(files[0]).shape

    def frames() -> Generator[TimedFrame, None, None]:
        for index, file in enumerate(files):
            image = read_image(file)
            if image.shape != (height, width, 3):
                size = f"{image.shape[1]}x{image.shape[0]}"
                raise BadInput(f"{file}: {size} pixels, where {files[0].name} has {width}x{height}; make them alike")
            yield TimedFrame(index / rate, 1 / rate, image.copy)

    return Video(path, rate, width, height, False, float(len(files) / rate), Fraction(0), frames)
