"""Videos in and out, frame by frame: memory stays the same for any length, rate is exact, sound stays in sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, final

import av.filter
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from fewshot_heads.errors import OutputError
from fewshot_heads.media.audio import Audio, AudioSource, packets
from fewshot_heads.media.decoding import BT601, BT709, colorspace
from fewshot_heads.media.files import atomic_write, check_target, write_error
from fewshot_heads.media.provenance import UNNAMED, Provenance, mark
from fewshot_heads.media.video_reader import Video, exact_rate, read_video

__all__ = ["Video", "VideoWriter", "exact_rate", "read_video"]

WRITTEN = (".mp4", ".webm", ".gif")
# At 256x256, crf 18, x264's veryfast costs a tenth more time than superfast and makes files a third the size.
X264_PRESET = "veryfast"
GIF_RATE = 50  # players slow a faster gif down to 10 frames a second


@final
class VideoWriter:
    """Write uint8 RGB [H,W,3] frames as mp4 (H.264), webm (VP9) or gif, whole or not at all.

        with VideoWriter("out.mp4", like=driver) as out:
            out.add(frame)

    `like` is a Video, for its rate and its sound, or a rate. `audio` may be a Sound (`sound.read_audio`): then its file
    is heard, from its first sample on; False leaves sound out. Sound is copied where the format takes its codec and
    encoded anew (AAC, Opus) where not, from the first frame's moment to the last one's. `crf` is x264's scale: 18
    looks like the frames, 23 is smaller. mp4 and webm need even sides: an odd one gets its last row or column twice.
    A gif has no sound and at most 50 frames a second. Every file says that it is synthetic; `mark` names the model
    (`Reenactor.provenance`), and None, for real footage only, leaves the mark out. Raises OutputError, for the
    target's name before any work.
    """

    def __init__(
        self,
        path: str | Path,
        like: Video | Fraction | float | str,
        crf: int = 18,
        audio: bool | Audio = True,
        mark: Provenance | None = UNNAMED,
        overwrite: bool = False,
    ) -> None:
        self.path, self.crf, self.mark = Path(path), crf, mark
        self.rate = like.rate if isinstance(like, Video) else exact_rate(like)
        own = like if isinstance(like, Video) and like.has_audio and audio else None
        self._sound: AudioSource | None = audio if isinstance(audio, Audio) else own
        self._shape: tuple[int, ...] | None = None
        self._encoder: _Encoder | None = None
        check_target(self.path, WRITTEN, overwrite)
        self._file = atomic_write(self.path, WRITTEN, overwrite)

    def __enter__(self) -> VideoWriter:
        self._part = self._file.__enter__()
        return self

    def add(self, frame: np.ndarray) -> None:
        """Append one frame; all have the first one's size."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"{self.path}: a uint8 [H,W,3] frame was expected, {frame.dtype} {list(frame.shape)} came")
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            raise ValueError(f"{self.path}: a frame {list(self._shape)} was expected, {list(frame.shape)} came")
        with self._disk():
            if self._encoder is None:
                tags = self.mark.tags() if self.mark else {}
                self._encoder = _Encoder(self._part, frame.shape, self.rate, self.crf, tags, self._sound)
            self._encoder.add(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            stack.push(self._file)
            if error is not None:
                if self._encoder:
                    self._encoder.abandon()
                raise error
            if self._encoder is None:
                raise OutputError(f"{self.path}: no frame was added, so nothing is written")
            with self._disk():
                self._encoder.finish()
                if self.mark and self.path.suffix.lower() != ".webm":
                    mark(self._part, self.mark)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            if self._encoder:
                self._encoder.abandon()
            raise write_error(self.path, error) from error


class _Encoder:
    """One open output: colors, codec and sound. Every stream must exist before the first packet is written."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        rate: Fraction,
        crf: int,
        tags: dict[str, str],
        sound: AudioSource | None,
    ) -> None:
        suffix = path.suffix.lower()
        height, width = shape[:2]
        self.rate, self.count, self.last = rate, 0, -1
        self.out_rate = rate
        self.palette: Any = None
        self.sound: Iterator[Any] = iter(())
        self.output = av.open(str(path), "w", options={"movflags": "+faststart"} if suffix == ".mp4" else {})
        self.output.metadata.update(tags)
        if suffix == ".gif":
            self.out_rate = min(rate, Fraction(GIF_RATE))
            self.stream: Any = self.output.add_stream("gif", rate=self.out_rate)
            self.stream.pix_fmt, self.stream.width, self.stream.height = "pal8", width, height
            self.palette = _palette_graph(width, height, 1 / self.out_rate)
        else:
            self._open_yuv(suffix, width + width % 2, height + height % 2, crf)
            if sound:
                self.sound = packets(sound, self.output, suffix)
        self.packet = next(self.sound, None)

    def _open_yuv(self, suffix: str, width: int, height: int, crf: int) -> None:
        if suffix == ".mp4":
            codec, options = "libx264", {"preset": X264_PRESET, "crf": str(crf)}
        else:  # VP9's scale goes to 63, x264's to 51
            codec, options = "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
            options["crf"] = str(round(crf * 63 / 51))
        self.stream = self.output.add_stream(codec, rate=self.rate, options=options)
        self.stream.pix_fmt, self.stream.width, self.stream.height = "yuv420p", width, height
        self.stream.bit_rate = 0  # VP9 goes by quality alone
        self.matrix = colorspace(width, height)
        context = self.stream.codec_context
        context.thread_count = 0
        context.color_range = ColorRange.MPEG
        context.colorspace = BT601 if self.matrix == Colorspace.ITU601 else BT709
        context.color_primaries = context.color_trc = BT709  # what players expect of pictures made for a screen

    def add(self, image: np.ndarray) -> None:
        time = self.count / self.rate
        self.count += 1
        slot = int(time * self.out_rate)
        if slot == self.last:
            return
        self.last = slot
        if self.palette:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        else:
            height, width, _ = image.shape
            even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24").reformat(
                format="yuv420p", dst_colorspace=self.matrix, dst_color_range=ColorRange.MPEG
            )
        frame.pts, frame.time_base = slot, 1 / self.out_rate
        if self.palette:
            self.palette.push(frame)
            frame = self.palette.pull()
        self.output.mux(self.stream.encode(frame))
        while self.packet is not None and self.packet.pts * self.packet.time_base < self.count / self.rate:
            self.output.mux(self.packet)
            self.packet = next(self.sound, None)

    def finish(self) -> None:
        self.output.mux(self.stream.encode(None))
        self.output.close()

    def abandon(self) -> None:
        """Let go of a file that is going to be deleted."""
        with suppress(av.FFmpegError, OSError):
            self.output.close()


def _palette_graph(width: int, height: int, time_base: Fraction) -> Any:
    """RGB in, 256 colors out, with a palette of its own for every frame."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=time_base)
    split, sink = graph.add("split"), graph.add("buffersink")
    choose = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")  # a fixed pattern: still parts stay still
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(choose, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
