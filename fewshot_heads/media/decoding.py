"""Frames out of a container: what FFmpeg decodes of a damaged one, and pixels as a player would show them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace

BT709, BT601 = 1, 6  # as files tag them


def picture_stream(container: Any) -> Any:
    """The first stream of pictures that is no cover, or None."""
    cover = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


def decoded(container: Any, stream: Any, damage: list[str]) -> Iterator[Any]:
    """The stream's sound frames; what is lost is noted in `damage`."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
        except av.FFmpegError as error:
            damage.append(error.strerror or "unreadable")
            return
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            damage.append(error.strerror or "undecodable")
            continue
        damage += ["a packet is cut off"] * packet.is_corrupt
        for frame in frames:
            if frame.is_corrupt:
                damage.append("a frame is corrupt")
            else:
                yield frame


def display_matrix(frame: Any) -> list[int]:
    """The first five entries of a frame's display matrix. Asked of one frame only: in PyAV the question ties the
    frame to itself, and a hundred megabytes of pictures then wait for the garbage collector."""
    found = frame.side_data.get("DISPLAYMATRIX")
    return np.frombuffer(bytes(found), np.int32)[:5].tolist() if found is not None else [1, 0, 0, 0, 1]


def pixels(frame: Any, aspect: Fraction | None, matrix: list[int]) -> np.ndarray:
    """The frame as it should be seen: in RGB by its color tags (or the custom for its size), turned, unsqueezed."""
    width = frame.width if not aspect else max(1, round(frame.width * aspect))
    tagged = frame.colorspace in (*Colorspace, BT601)
    image = frame.to_ndarray(
        format="rgb24", width=width, src_colorspace=None if tagged else colorspace(frame.width, frame.height)
    )
    x_x, x_y, _, y_x, y_y = matrix
    if abs(x_y) > abs(x_x):
        image, x_x, y_y = image.swapaxes(0, 1), y_x, x_y
    return np.ascontiguousarray(image[:: -1 if y_y < 0 else 1, :: -1 if x_x < 0 else 1])


def colorspace(width: int, height: int) -> Colorspace:
    """BT.601 for small pictures, BT.709 for large: what players take an untagged video for."""
    return Colorspace.ITU709 if width >= 1280 or height > 576 else Colorspace.ITU601
