"""Sound: read completely as samples, or transferred into a video file packet by packet.

The packets keep their times relative to the first video frame.
"""

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
from fewshot_heads.media.decoding import decoded, open_container, sound_stream

ENCODED = {".mp4": "aac", ".webm": "libopus"}  # codec for sound whose codec is not copied
# Codecs that are copied. An mp4 could hold AC-3 and Opus too, but browsers play no AC-3, and QuickTime no Opus in mp4.
COPIED = {".mp4": {"aac", "mp3"}, ".webm": {"opus", "vorbis"}}
MIN_MP3_RATE_HZ = 16000  # FFmpeg writes no MP3 of a lower rate into mp4
MAX_SECONDS = 7500  # of a recording that is read as samples; two hours take 1.8 GiB until a face moves to them
MAX_SAMPLE = 100.0  # 40 dB above full scale; the square of a larger one could overflow
_MAX_STEP_BACK_S = 1  # packets that overlap the sound before by less are left out
ENCODED_RATE_HZ = 48000  # the only rate of Opus above 24 kHz


class AudioSource(Protocol):
    """Source of a video's sound: a `Video` or an `Audio`.

    Attributes:
        path: file with the sound.
        start: time at which the pictures begin, seconds on the clock of the file.
    """

    @property
    def path(self) -> Path: ...
    @property
    def start(self) -> Fraction: ...


@dataclass(frozen=True)
class Audio:
    """A recording, with all channels mixed into one.

    Attributes:
        path: file of the recording.
        start: time of the first sample, seconds on the clock of the file.
        rate: samples per second.
        samples: float32 [N], full scale is 1.
    """

    path: Path
    start: Fraction
    rate: int
    samples: np.ndarray = field(repr=False)

    @property
    def seconds(self) -> float:
        """Length of the recording, seconds."""
        return len(self.samples) / self.rate


def read_audio(path: str | Path, rate: int = 22050) -> Audio:
    """Returns the first sound track of a file, mixed to one channel.

    Reads the formats that FFmpeg finds in one file, such as wav, mp3, ogg, flac, m4a and videos. A damaged file gives
    the part that can be decoded, and one warning.

    Args:
        path: the file.
        rate: samples per second of the result.

    Raises:
        BadInput: if the file is missing, has no sound, cannot be decoded or lasts over 125 minutes.
    """
    path = Path(path)
    damage: list[str] = []
    data = bytearray()  # grows in place, where a list of arrays would be copied at the end
    try:
        with open_container(path) as container:
            track = sound_stream(container)
            if track is None:
                raise BadInput(f"{path}: there is no sound in this file; give music or speech")
            frames = decoded(container, track, damage)
            first = next(frames, None)
            if first is None:
                raise BadInput(f"{path}: no sound of this file can be decoded; get a whole copy")
            start = Fraction(0) if first.pts is None else Fraction(first.pts * first.time_base)
            graph = _resampling(track, start, rate, "flt", "mono")
            for part in _through(graph, chain([first], frames)):
                samples = part.to_ndarray()
                if not np.isfinite(samples).all():
                    damage.append("samples that are no numbers")
                data += np.nan_to_num(samples).clip(-MAX_SAMPLE, MAX_SAMPLE).tobytes()
                if len(data) > MAX_SECONDS * rate * np.float32().nbytes:
                    raise BadInput(f"{path}: lasts over {MAX_SECONDS // 60} minutes; cut it into shorter pieces")
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: not a sound that can be read, or cut off; get a whole copy, as wav or mp3") from error
    if damage:
        warnings.warn(f"{path}: damaged or cut off ({damage[0]}); what could be read is used", stacklevel=2)
    return Audio(path, start, rate, np.frombuffer(data, np.float32))


def packets(source: AudioSource, output: Any, suffix: str) -> Iterator[Any]:
    """Yields the sound of a source as packets for another file.

    Time zero is the first picture. A codec that players expect in the format is copied. Another one is encoded again.
    Damaged sound ends early, with a warning.

    Args:
        source: file and start of the sound.
        output: PyAV container, open for writing. Receives an audio stream.
        suffix: of the output file, ".mp4" or ".webm".

    Yields:
        PyAV packets, in the order of their times.
    """
    try:
        yield from _packets(source, output, suffix)
    except (av.FFmpegError, BadInput) as error:  # an error here is one of the source, never one of the output
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{source.path}: ")
        warnings.warn(f"{source.path}: the sound is damaged ({reason}) and ends early", stacklevel=2)


def _packets(source: AudioSource, output: Any, suffix: str) -> Iterator[Any]:
    """Yields the sound of a source as `packets` does. Damage raises."""
    with open_container(source.path) as container:
        track = sound_stream(container)
        codec = track.codec_context.codec.canonical_name
        is_copied = codec in COPIED[suffix] and (codec != "mp3" or track.codec_context.sample_rate >= MIN_MP3_RATE_HZ)
        if is_copied:
            result = _copied(container, track, output.add_stream_from_template(track), source.start)
        else:
            layout = "mono" if track.layout.nb_channels == 1 else "stereo"
            target = output.add_stream(ENCODED[suffix], rate=ENCODED_RATE_HZ, layout=layout)
            result = _encoded(container, track, target, source.start)
        yield from result


def _copied(container: Any, track: Any, target: Any, start: Fraction) -> Iterator[Any]:
    """Yields the packets of a track for another stream, with time zero at `start` and rising times."""
    shift, last = round(start / track.time_base), None
    for packet in container.demux(track):
        if packet.pts is None or packet.dts is None:
            continue
        if last is not None and packet.dts <= last:
            if (last - packet.dts) * track.time_base >= _MAX_STEP_BACK_S:
                raise BadInput("its clock jumps back")
            continue
        last = packet.dts
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if packet.pts + (packet.duration or 0) >= 0:  # a packet that ends at zero primes the decoder
            packet.stream = target
            yield packet


def _encoded(container: Any, track: Any, target: Any, start: Fraction) -> Iterator[Any]:
    """Yields a track encoded again for another stream, with time zero at `start`."""
    graph = _resampling(track, start, ENCODED_RATE_HZ, target.format.name, target.layout.name)
    for frame in _through(graph, decoded(container, track, [])):
        yield from target.encode(frame)
    yield from target.encode(None)


def _resampling(track: Any, start: Fraction, rate: int, sample_format: str, layout: str) -> Any:
    """Returns a filter graph that cuts a track at `start`, now time zero, and resamples."""
    graph = av.filter.Graph()
    filters = [
        graph.add_abuffer(template=track),
        graph.add("atrim", f"start={float(start)}"),
        graph.add("asetpts", f"PTS-{float(start)}/TB"),
        graph.add("aresample", f"{rate}:async=1:first_pts=0"),  # fills a late start and holes with silence
        graph.add("aformat", f"sample_fmts={sample_format}:channel_layouts={layout}"),
        graph.add("abuffersink"),
    ]
    for source, target in pairwise(filters):
        source.link_to(target)
    graph.configure()
    return graph


def _through(graph: Any, frames: Iterator[Any]) -> Iterator[Any]:
    """Yields the frames that a filter graph makes of other frames."""
    for frame in chain(frames, [None]):
        graph.push(frame)
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                yield graph.pull()
