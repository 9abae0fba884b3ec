"""Frames of containers, animated pictures and folders, with their times in the file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import Image

from fewshot_heads.errors import BadInput
from fewshot_heads.media.decoding import decoded, display_matrix, open_container, picture_stream, pixels, tone_map
from fewshot_heads.media.images import UNREADABLE, check_size, open_image, read_image

DEFAULT_RATE = Fraction(25)  # frames per second, where a file says nothing
MIN_RATE = Fraction(1, 10)  # frames per second
MAX_FRAME_PIXELS = 36_000_000  # a little more than 8K; decoders keep up to 17 frames of 1.5 bytes a pixel
# FFmpeg compares sides that are rounded up to multiples of 64; one of up to 34,000 pixels adds 2.3 million.
_PADDING_PIXELS = 2_300_000
# Where the clock of a file steps back by 1 s, it has jumped. Where it steps ahead by more than 1 s and two frames, the
# picture is held, but for 120 s in all: the 10 frames of a file of 71 kB asked for a million repetitions.
_MAX_STEP_BACK_S, _MAX_STEP_AHEAD_S, _MAX_HELD_S = Fraction(1), Fraction(1), Fraction(120)
_MAX_MISSING_S = Fraction(1, 2)  # a file that ends earlier than announced by more is cut off
# Browsers show a frame of an animated picture with a time of at most 10 ms for 100 ms.
_IGNORED_MS, _DEFAULT_MS = 10, 100


class TimedFrame(NamedTuple):
    """A frame with its time in the file.

    Attributes:
        time: when the frame is shown, seconds.
        duration: how long the frame is shown, seconds, or 0 if unknown.
        pixels: returns the frame, uint8 RGB [H, W, 3].
    """

    time: Fraction
    duration: Fraction
    pixels: Callable[[], np.ndarray]


def container_frames(path: Path, warn: bool = True) -> Generator[TimedFrame, None, None]:
    """Yields the frames of any file that FFmpeg reads.

    Jumps of the clock are removed, as in files that were joined byte by byte. All frames have the size of the first.

    Args:
        path: the file.
        warn: whether a damaged file gives a warning at its end.

    Yields:
        Frames that can be decoded, in the order of the file.

    Raises:
        BadInput: if the frames are too small, too large or too narrow.
    """
    with open_container(path) as container:
        stream = picture_stream(container)
        check_size(str(path), stream.width, stream.height, MAX_FRAME_PIXELS)  # first, because decoders reserve memory
        stream.thread_type = "AUTO"
        # Later frames may be larger.
        stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS + _PADDING_PIXELS)}
        aspect = stream.sample_aspect_ratio or 1  # read first, because a closed container does not tell
        step = 1 / max(stream.average_rate or stream.base_rate or DEFAULT_RATE, MIN_RATE)
        max_step = max(_MAX_STEP_AHEAD_S, 2 * step)
        damage: list[str] = []
        matrix, size, hdr = [0], (0, 0), None
        count, last, end, shift, held = 0, Fraction(0), Fraction(0), Fraction(0), Fraction(0)
        for frame in decoded(container, stream, damage):
            if not count:
                matrix, size = display_matrix(frame), (round(frame.width * aspect), frame.height)
                check_size(str(path), *size, MAX_FRAME_PIXELS)
                hdr = tone_map(frame, size)
            stamp = frame.pts if frame.pts is not None else frame.dts
            time = end if stamp is None else Fraction(stamp * frame.time_base) + shift
            hold = time - last if time - last > max_step else Fraction(0)
            if count and (time - end <= -_MAX_STEP_BACK_S or held + hold > _MAX_HELD_S):
                damage.append("its clock jumps")
                next_time = min(end, last + max_step)
                shift, time = shift + next_time - time, next_time
            elif count:
                held += hold
            duration = min(Fraction((frame.duration or 0) * frame.time_base), _MAX_HELD_S)
            count, last, end = count + 1, time, time + (duration or step)
            yield TimedFrame(time, duration, partial(pixels, frame, size, matrix, hdr))
        announced = _announced_end(container, stream)
        if announced is not None:
            damage += ["shorter than announced"] * (announced - end > _MAX_MISSING_S)
        if damage and warn:
            warnings.warn(f"{path}: damaged or cut off ({damage[0]}); {count} frames could be read", stacklevel=2)


def _announced_end(container: Any, stream: Any) -> Fraction | None:
    """Returns when the pictures of a file should end, seconds on its clock, or None if the file does not tell.

    FFmpeg reports no damage in a Matroska file that is cut off. Such a file announces the end of its longest stream,
    and often has a tag with the end of each.
    """
    if stream.duration or not container.duration:
        return None
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", "")):
        return 3600 * Fraction(tag[1]) + 60 * Fraction(tag[2]) + Fraction(tag[3])
    if len(container.streams) > 1:  # sound may last longer than the pictures
        return None
    return Fraction(container.duration + (container.start_time or 0), av.time_base)


def animation_frames(path: Path, warn: bool = True) -> Generator[TimedFrame, None, None]:
    """Yields the frames of an animated picture, such as a gif, with white behind transparent pixels.

    A damaged file ends early, also at a frame of another size than the first.

    Args:
        path: the file.
        warn: whether a damaged file gives a warning.

    Raises:
        BadInput: if the file is no picture, or too small, too large or too narrow.
    """
    with open_image(path) as image:
        check_size(str(path), *image.size, MAX_FRAME_PIXELS)
        white = Image.new("RGBA", image.size, "white")
        time = Fraction(0)
        for index in range(getattr(image, "n_frames", 1)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", Image.DecompressionBombWarning)
                    image.seek(index)
                if image.size != white.size:  # before the frame is decoded: it may be of any size
                    raise ValueError(f"a frame of {image.width}x{image.height} pixels")
                rgb = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
            except (*UNREADABLE, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
                if warn:
                    warnings.warn(f"{path}: damaged or cut off ({error}); {index} frames could be read", stacklevel=2)
                return
            milliseconds = round(image.info.get("duration") or 0)
            duration = Fraction(milliseconds if milliseconds > _IGNORED_MS else _DEFAULT_MS, 1000)
            yield TimedFrame(time, duration, partial(np.array, rgb))
            time += duration


def folder_frames(files: list[Path], rate: Fraction, height: int, width: int) -> Generator[TimedFrame, None, None]:
    """Yields images as frames at a constant rate.

    Args:
        files: images, in the order of time.
        rate: frames per second.
        height: of the first image, pixels.
        width: of the first image, pixels.

    Raises:
        BadInput: if an image is damaged or has another size than the first one.
    """
    for index, file in enumerate(files):
        image = read_image(file)
        if image.shape != (height, width, 3):
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise BadInput(f"{file}: {size} pixels, where {files[0].name} has {width}x{height}; make them alike")
        yield TimedFrame(index / rate, 1 / rate, image.copy)
