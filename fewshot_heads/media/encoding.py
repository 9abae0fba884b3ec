"""Encodes frames and sound of one output file with FFmpeg. See `video_writer.VideoWriter` for use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.filter
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from fewshot_heads.media.audio import AudioSource, packets
from fewshot_heads.media.decoding import BT601, BT709, colorspace

# At 256x256, crf 18, veryfast takes a tenth more time than superfast and makes files a third of the size.
X264_PRESET = "veryfast"
X264_MAX_CRF, VP9_MAX_CRF = 51, 63
# x264 takes 0 for its lossless mode, which only the profile High 4:4:4 Predictive has. QuickTime, Safari, Firefox and
# Windows refuse that profile.
X264_MIN_CRF = 1
GIF_MAX_RATE = 50  # frames per second; players slow a faster gif down to 10


class VideoEncoder:
    """An output file that is open for frames.

    All streams are opened at once, because every stream must exist before the first packet is written.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        rate: Fraction,
        crf: int,
        tags: dict[str, str],
        sound: AudioSource | None,
    ) -> None:
        """Opens the file.

        Args:
            path: the file to write. Its suffix chooses the format.
            shape: of each frame, [H, W, 3].
            rate: frames per second.
            crf: quality on the scale of x264, 0 to 51.
            tags: metadata of the container.
            sound: file and start of the sound, or None. A gif takes no sound.
        """
        suffix = path.suffix.lower()
        height, width = shape[:2]
        self.rate, self.frame_count, self.last_slot = rate, 0, -1
        self.file_rate = rate
        self.palette: Any = None
        self.sound: Iterator[Any] = iter(())
        self.output = av.open(str(path), "w", options={"movflags": "+faststart"} if suffix == ".mp4" else {})
        try:
            self._open_streams(suffix, height, width, crf, tags, sound)
        except BaseException:
            self.abandon()
            raise

    def _open_streams(
        self, suffix: str, height: int, width: int, crf: int, tags: dict[str, str], sound: AudioSource | None
    ) -> None:
        """Adds the tags and all streams, and takes the first packet of the sound."""
        self.output.metadata.update(tags)
        if suffix == ".gif":
            self.file_rate = min(self.rate, Fraction(GIF_MAX_RATE))
            self.stream: Any = self.output.add_stream("gif", rate=self.file_rate)
            self.stream.pix_fmt, self.stream.width, self.stream.height = "pal8", width, height
            self.palette = _palette_graph(width, height, 1 / self.file_rate)
        else:
            self._open_yuv(suffix, width + width % 2, height + height % 2, crf)
            if sound:
                self.sound = packets(sound, self.output, suffix)
        self.next_packet = next(self.sound, None)

    def _open_yuv(self, suffix: str, width: int, height: int, crf: int) -> None:
        """Adds the H.264 or VP9 stream of an mp4 or webm with even sides, pixels."""
        if suffix == ".mp4":
            codec, options = "libx264", {"preset": X264_PRESET, "profile": "high", "crf": str(crf or X264_MIN_CRF)}
        else:
            codec, options = "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
            options["crf"] = str(round(crf * VP9_MAX_CRF / X264_MAX_CRF))
        self.stream = self.output.add_stream(codec, rate=self.rate, options=options)
        self.stream.pix_fmt, self.stream.width, self.stream.height = "yuv420p", width, height
        self.stream.bit_rate = 0  # 0: VP9 follows crf alone
        self.color_matrix = colorspace(width, height)
        context = self.stream.codec_context
        context.thread_count = 0
        context.color_range = ColorRange.MPEG
        context.colorspace = BT601 if self.color_matrix == Colorspace.ITU601 else BT709
        context.color_primaries = context.color_trc = BT709  # what players expect of images made for a screen

    def add(self, image: np.ndarray) -> None:
        """Encodes one frame, and the sound up to the end of the frame.

        A gif drops frames above its highest rate.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        time = self.frame_count / self.rate
        self.frame_count += 1
        slot = int(time * self.file_rate)
        if slot == self.last_slot:
            return
        self.last_slot = slot
        if self.palette:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        else:
            height, width, _ = image.shape
            even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24").reformat(
                format="yuv420p", dst_colorspace=self.color_matrix, dst_color_range=ColorRange.MPEG
            )
        frame.pts, frame.time_base = slot, 1 / self.file_rate
        if self.palette:
            self.palette.push(frame)
            frame = self.palette.pull()
        self.output.mux(self.stream.encode(frame))
        end = self.frame_count / self.rate
        while self.next_packet is not None and self.next_packet.pts * self.next_packet.time_base < end:
            self.output.mux(self.next_packet)
            self.next_packet = next(self.sound, None)

    def finish(self) -> None:
        """Writes what the codec still holds, and closes the file."""
        self.output.mux(self.stream.encode(None))
        self.output.close()

    def abandon(self) -> None:
        """Closes a file that is going to be deleted."""
        with suppress(av.FFmpegError, OSError):
            self.output.close()


def _palette_graph(width: int, height: int, time_base: Fraction) -> Any:
    """Returns a filter graph that reduces each frame to its own 256 colors."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=time_base)
    split, sink = graph.add("split"), graph.add("buffersink")
    make_palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    apply_palette = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")  # a fixed pattern does not flicker
    source.link_to(split)
    split.link_to(apply_palette, 0, 0)
    split.link_to(make_palette, 1, 0)
    make_palette.link_to(apply_palette, 0, 1)
    apply_palette.link_to(sink)
    graph.configure()
    return graph
