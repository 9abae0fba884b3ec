"""Decodes frames with FFmpeg, also from damaged files, to the pixels that players show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace

from fewshot_heads.media.files import check_readable
from fewshot_heads.media.tone_mapping import ToneMap, is_hdr

# Demuxers of FFmpeg that read one file of sound and pictures. Among the others are playlists (concat, hls, dash), which
# open files that they name, and readers of single pictures, which `images` reads.
_DEMUXERS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,dv,eac3,flac,flv,h264,hevc,ivf,m4v,matroska,mov,mp3,mpeg,mpegts,mpegvideo,mxf,nut,"
    "ogg,rm,w64,wav,wv"
)
# What a live camera of the network may be read with. None of these opens a file that a stream names.
STREAM_PROTOCOLS = ("rtsp", "rtsps", "rtmp", "http", "https", "tcp", "udp")
_STREAM_DEMUXERS = "rtsp,rtp,sdp,mpjpeg,mpegts,flv,matroska,mov"
_STREAM_WAIT_S = (10, 10)  # for an answer, and for the next frame
BT709, BT601 = 1, 6  # the values by which files name the two color matrices
# Players take an untagged video for BT.709 from this size on, and for BT.601 below.
BT709_MIN_WIDTH_PX, BT601_MAX_HEIGHT_PX = 1280, 576


def open_container(path: Path) -> Any:
    """Returns an open PyAV container of a video or sound file, to be used in a `with` statement.

    FFmpeg opens this one file with a demuxer of an allow list. A name with a colon is no protocol.

    Args:
        path: the file.

    Raises:
        BadInput: if the path is no file that can be read.
        av.FFmpegError: if the file is of no allowed kind, or damaged.
    """
    check_readable(path)
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
    return av.open(str(path.absolute()), options=options, metadata_errors="replace")


def open_stream(url: str) -> Any:
    """Returns an open PyAV container of a network stream, to be used in a `with` statement.

    Args:
        url: of one of `STREAM_PROTOCOLS`.

    Raises:
        av.FFmpegError: if nobody answers, or not with a stream of an allowed kind.
    """
    protocols = ",".join((*STREAM_PROTOCOLS, "rtp", "srtp", "tls", "httpproxy"))
    options = {"format_whitelist": _STREAM_DEMUXERS, "protocol_whitelist": protocols, "fflags": "nobuffer"}
    options |= {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    return av.open(url, options=options, metadata_errors="replace", timeout=_STREAM_WAIT_S)


def picture_stream(container: Any) -> Any:
    """Returns the first video stream that can be decoded and is no cover image, or None.

    Args:
        container: an open PyAV container.
    """
    cover = av.stream.Disposition.attached_pic
    decodable = (stream for stream in container.streams.video if stream.codec_context is not None)
    return next((stream for stream in decodable if not stream.disposition & cover), None)


def sound_stream(container: Any) -> Any:
    """Returns the first audio stream that can be decoded, or None.

    A file that is cut off may announce sound of no rate, of which no packet is left.

    Args:
        container: an open PyAV container.
    """
    decodable = (stream for stream in container.streams.audio if stream.codec_context is not None)
    return next((stream for stream in decodable if stream.codec_context.sample_rate), None)


def decoded(container: Any, stream: Any, damage: list[str]) -> Iterator[Any]:
    """Yields the intact frames of a stream and notes the damaged ones.

    Args:
        container: an open PyAV container.
        stream: one of its video or audio streams.
        damage: receives one text for each packet or frame that is lost.

    Yields:
        PyAV frames, in the order of the file.
    """
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
    """Returns the first five entries of a frame's display matrix, which holds rotation and mirroring.

    Ask one frame of a stream only. PyAV ties side data and frame to each other, so a hundred megabytes of frames
    would wait for the garbage collector.

    Args:
        frame: a PyAV video frame.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return np.frombuffer(bytes(matrix), np.int32)[:5].tolist() if matrix is not None else [1, 0, 0, 0, 1]


def tone_map(frame: Any, size: tuple[int, int]) -> ToneMap | None:
    """Returns the tone map of an HDR video, or None for SDR video.

    Args:
        frame: the first PyAV frame of the video.
        size: as in `pixels`.
    """
    return ToneMap.of(frame, _rgb(frame, size, "rgb48le")) if is_hdr(frame) else None


def pixels(frame: Any, size: tuple[int, int], matrix: list[int], hdr: ToneMap | None = None) -> np.ndarray:
    """Returns a frame as players show it, uint8 RGB [H, W, 3].

    The frame is upright and has square pixels. Colors follow the tags of the frame, or `colorspace` without tags.

    Args:
        frame: a PyAV video frame.
        size: width and height with square pixels, before `matrix` turns the frame.
        matrix: see `display_matrix`.
        hdr: see `tone_map`.
    """
    image = hdr.apply(_rgb(frame, size, "rgb48le")) if hdr else _rgb(frame, size, "rgb24")
    x_x, x_y, _, y_x, y_y = matrix
    if abs(x_y) > abs(x_x):
        image, x_x, y_y = image.swapaxes(0, 1), y_x, x_y
    return np.ascontiguousarray(image[:: -1 if y_y < 0 else 1, :: -1 if x_x < 0 else 1])


def _rgb(frame: Any, size: tuple[int, int], pixel_format: str) -> np.ndarray:
    """Returns the RGB values [H, W, 3] of a frame, in a pixel format of FFmpeg."""
    width, height = size
    untagged = Colorspace.BT2020 if is_hdr(frame) else colorspace(frame.width, frame.height)
    source = None if frame.colorspace in (*Colorspace, BT601) else untagged
    return frame.to_ndarray(format=pixel_format, width=width, height=height, src_colorspace=source)


def colorspace(width: int, height: int) -> Colorspace:
    """Returns the color matrix that players assume for an untagged video of this size.

    Args:
        width: pixels.
        height: pixels.
    """
    return Colorspace.ITU709 if width >= BT709_MIN_WIDTH_PX or height > BT601_MAX_HEIGHT_PX else Colorspace.ITU601
