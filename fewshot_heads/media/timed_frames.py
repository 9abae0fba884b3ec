"""Frames of containers, gifs and folders, with their times in the file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import imageio.v3 as iio
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.media.decoding import decoded, display_matrix, picture_stream, pixels
from fewshot_heads.media.images import read_image

DEFAULT_RATE = Fraction(25)  # frames per second, where a file says nothing
# Limits of the time from one frame to the next, seconds. Beyond them the clock of the file has jumped.
_MAX_STEP_BACK_S, _MAX_STEP_AHEAD_S = 1, 600
_MAX_MISSING_S = Fraction(1, 2)  # a file that ends earlier than announced by more is cut off
# Browsers show a gif frame with a time of at most 10 ms for 100 ms.
_GIF_IGNORED_MS, _GIF_DEFAULT_MS = 10, 100
GIF_ERRORS = (OSError, ValueError, EOFError, SyntaxError)  # what a damaged gif raises


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

    Jumps of the clock are removed, as in files that were joined byte by byte.

    Args:
        path: the file.
        warn: whether a damaged file gives a warning at its end.

    Yields:
        Frames that can be decoded, in the order of the file.
    """
    with av.open(str(path)) as container:
        stream = picture_stream(container)
        stream.thread_type = "AUTO"
        aspect = stream.sample_aspect_ratio  # read first, because a closed container does not tell
        step = 1 / (stream.average_rate or stream.base_rate or DEFAULT_RATE)
        damage: list[str] = []
        matrix: list[int] | None = None
        count, end, shift = 0, Fraction(0), Fraction(0)
        for frame in decoded(container, stream, damage):
            matrix = matrix or display_matrix(frame)  # the same for all frames
            stamp = frame.pts if frame.pts is not None else frame.dts
            time = end if stamp is None else Fraction(stamp * frame.time_base) + shift
            if count and not -_MAX_STEP_BACK_S < time - end < _MAX_STEP_AHEAD_S:  # files that were joined byte by byte
                damage.append("its clock jumps")
                shift, time = shift + end - time, end
            duration = Fraction((frame.duration or 0) * frame.time_base)
            count, end = count + 1, time + (duration or step)
            yield TimedFrame(time, duration, partial(pixels, frame, aspect, matrix))
        # FFmpeg reports no damage in a Matroska file that is cut off, but the file announces its length.
        if not stream.duration and container.duration:
            announced = Fraction(container.duration + (container.start_time or 0), av.time_base)
            damage += ["shorter than announced"] * (announced - end > _MAX_MISSING_S)
        if damage and warn:
            warnings.warn(f"{path}: damaged or cut off ({damage[0]}); {count} frames could be read", stacklevel=2)


def gif_frames(path: Path) -> Generator[TimedFrame, None, None]:
    """Yields the frames of a gif, with white behind transparent pixels.

    A damaged gif ends early, with a warning.

    Args:
        path: the file.
    """
    with open_gif(path) as file:
        time = Fraction(0)
        for index in range(file.properties(index=...).n_images or 1):
            try:
                image = file.read(index=index, mode="RGBA")
            except GIF_ERRORS as error:
                warnings.warn(f"{path}: damaged or cut off ({error}); {index} frames could be read", stacklevel=2)
                return
            alpha = image[..., 3:].astype(np.uint16)
            white = ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
            duration = gif_frame_duration(file, index)
            yield TimedFrame(time, duration, white.copy)
            time += duration


def open_gif(path: Path) -> Any:
    """Returns an open gif, to be used in a `with` statement.

    Args:
        path: the file.
    """
    return iio.imopen(path, "r", plugin="pillow")


def gif_frame_duration(file: Any, index: int) -> Fraction:
    """Returns how long browsers show a frame, seconds.

    Args:
        file: from `open_gif`.
        index: number of the frame, from 0.
    """
    milliseconds = round(file.metadata(index=index).get("duration") or 0)
    return Fraction(milliseconds if milliseconds > _GIF_IGNORED_MS else _GIF_DEFAULT_MS, 1000)


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
