"""Sound: read whole as numbers, or carried into a video's file packet by packet, on the same clock."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Protocol

import av.filter
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.media.decoding import decoded

ENCODED = {".mp4": "aac", ".webm": "libopus"}
COPIED = {".mp4": {"aac", "mp3", "ac3", "eac3", "opus"}, ".webm": {"opus", "vorbis"}}


class AudioSource(Protocol):
    """Whose sound a video takes: a `Video` or a `Audio`. start: second of the file's clock at which pictures begin."""

    @property
    def path(self) -> Path: ...
    @property
    def start(self) -> Fraction: ...


@dataclass(frozen=True)
class Audio:
    """A recording, all channels mixed into one.

    samples: float32 [N], full scale 1; rate: samples a second; start: second of the file's clock of the first one.
    """

    path: Path
    start: Fraction
    rate: int
    samples: np.ndarray = field(repr=False)

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def read_audio(path: str | Path, rate: int = 22050) -> Audio:
    """The first sound of any file FFmpeg reads (wav, mp3, ogg, flac, m4a, a video ...), resampled to `rate`.

    A file that is damaged on the way gives what decodes, and one warning. Raises BadInput.
    """
    path = Path(path)
    damage: list[str] = []
    if not path.is_file():
        raise BadInput(f"{path}: no such file; check the path")
    try:
        with av.open(str(path)) as container:
            track = _track(container)
            if track is None:
                raise BadInput(f"{path}: there is no sound in this file; give music or speech")
            frames = decoded(container, track, damage)
            first = next(frames, None)
            if first is None:
                raise BadInput(f"{path}: no sound of this file can be decoded; get a whole copy")
            start = Fraction(0) if first.pts is None else Fraction(first.pts * first.time_base)
            graph = _resampling(track, start, rate, "flt", "mono")
            parts = [part.to_ndarray()[0] for part in _through(graph, chain([first], frames))]
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: not a sound that can be read, or cut off; get a whole copy, as wav or mp3") from error
    if damage:
        warnings.warn(f"{path}: damaged or cut off ({damage[0]}); what could be read is used", stacklevel=2)
    return Audio(path, start, rate, np.concatenate([*parts, np.zeros(0, np.float32)]))


def packets(source: AudioSource, output: Any, suffix: str) -> Iterator[Any]:
    """The source's sound as packets for `output`, on a clock that starts with the first picture."""
    with av.open(str(source.path)) as container:
        track = _track(container)
        if track.codec_context.codec.canonical_name in COPIED[suffix]:
            found = _copied(container, track, output.add_stream_from_template(track), source.start)
        else:
            layout = "mono" if track.layout.nb_channels == 1 else "stereo"
            target = output.add_stream(ENCODED[suffix], rate=48000, layout=layout)
            found = _encoded(container, track, target, source.start)
        try:
            yield from found
        except av.FFmpegError as error:
            warnings.warn(f"{source.path}: the sound is damaged ({error.strerror}) and ends early", stacklevel=2)


def _track(container: Any) -> Any:
    return next((track for track in container.streams.audio if track.codec_context is not None), None)


def _copied(container: Any, track: Any, target: Any, start: Fraction) -> Iterator[Any]:
    shift = round(start / track.time_base)
    for packet in container.demux(track):
        if packet.pts is None or packet.dts is None:
            continue
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if packet.pts + (packet.duration or 0) >= 0:  # the one that ends at zero primes the decoder
            packet.stream = target
            yield packet


def _encoded(container: Any, track: Any, target: Any, start: Fraction) -> Iterator[Any]:
    graph = _resampling(track, start, 48000, target.format.name, target.layout.name)
    for frame in _through(graph, decoded(container, track, [])):
        yield from target.encode(frame)
    yield from target.encode(None)


def _resampling(track: Any, start: Fraction, rate: int, sample_format: str, layout: str) -> Any:
    graph = av.filter.Graph()
    filters = [
        graph.add_abuffer(template=track),
        graph.add("atrim", f"start={float(start)}"),
        graph.add("asetpts", f"PTS-{float(start)}/TB"),
        graph.add("aresample", f"{rate}:async=1:first_pts=0"),  # silence where sound starts late or has holes
        graph.add("aformat", f"sample_fmts={sample_format}:channel_layouts={layout}"),
        graph.add("abuffersink"),
    ]
    for one, other in pairwise(filters):
        one.link_to(other)
    graph.configure()
    return graph


def _through(graph: Any, frames: Iterator[Any]) -> Iterator[Any]:
    for frame in chain(frames, [None]):
        graph.push(frame)
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                yield graph.pull()
