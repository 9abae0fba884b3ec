"""Analyses a sound into curves from 0 to 1, one value for each video frame."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from fewshot_heads.errors import BadInput, UsageError
from fewshot_heads.media.audio import Audio

_WINDOW_SAMPLES, _HOP_SAMPLES = 1024, 256
_STRETCH_WINDOWS = 1024  # of a spectrum that is computed at once, 8 to 70 MB
_SILENCE = 1e-3  # of full scale: -60 dB
_LOUD_PERCENTILE = 95  # of what is not silent, counts as 1: one bang must not make the rest quiet
_EMPTY_BAND_FRACTION = 0.05  # of the whole sound's loudness, below which a band counts as empty
_NOTE_WINDOW_SAMPLES = 8192  # enough to separate neighboring notes
_HARMONY_SECONDS = 4.0  # of music whose notes are one harmony
_LEAST_HARMONY_DISTANCE = 0.05  # 1 - cosine that counts as 1: a drone has no change of harmony
_PULSE_SECONDS = (0.08, 0.18)  # rise and fall of a pulse: those of a blink


def analyse(
    sound: Audio,
    rate: Fraction | float = 25,
    bass: Sequence[float] = (20, 150),
    vocal: Sequence[float] = (300, 3400),
    attack: float = 0.03,
    release: float = 0.25,
    gate: float = 0.03,
    onset_gap: float = 1.5,
) -> dict[str, np.ndarray]:
    """Returns the `SIGNALS` of a sound, float64 [T] each, 0 to 1.

    Value t belongs to second t / rate. T is seconds times rate, rounded up. Loudness is linear, 1 where the recording
    is loud. Silence gives curves of 0.

    Args:
        sound: the recording.
        rate: frames per second.
        bass: lowest and highest frequency of the low band, Hz.
        vocal: lowest and highest frequency of the band of voices, Hz.
        attack: time constant of a rise, seconds.
        release: time constant of a fall, seconds.
        gate: share of full loudness that still counts as silence, 0 to 1.
        onset_gap: least distance of two pulses, seconds.

    Raises:
        UsageError: a number is out of range.
        BadInput: librosa is not installed.
    """
    librosa = _librosa()
    for name, band in (("bass", bass), ("vocal", vocal)):
        if len(band) != 2 or not 0 <= band[0] < band[1]:
            raise UsageError(f"{name}={list(band)}: expected two rising frequencies in Hz, such as [20,150]")
    for name, value in (("attack", attack), ("release", release), ("gate", gate), ("onset_gap", onset_gap)):
        if not 0 <= value < (1 if name == "gate" else math.inf):
            raise UsageError(f"{name}={value}: expected a number from 0{' to 1' if name == 'gate' else ''}")
    pitch = librosa.fft_frequencies(sr=sound.rate, n_fft=_WINDOW_SAMPLES)
    masks = {name: (pitch >= low) & (pitch < high) for name, (low, high) in (("bass", bass), ("vocal", vocal))}
    measured: dict[str, list[np.ndarray]] = {name: [] for name in ("whole", *masks, "centroid", "mel")}
    for power in _spectra(librosa, sound.samples, _WINDOW_SAMPLES, _HOP_SAMPLES):
        measured["whole"].append(_loudness(power))
        for name, mask in masks.items():
            measured[name].append(_loudness(power[mask]))
        measured["centroid"].append(librosa.feature.spectral_centroid(S=np.sqrt(power), freq=pitch)[0])
        measured["mel"].append(librosa.feature.melspectrogram(S=power, sr=sound.rate))
    found = {name: np.concatenate(measured.pop(name), axis=-1) for name in list(measured)}
    window_times = librosa.times_like(found["whole"], sr=sound.rate, hop_length=_HOP_SAMPLES)
    count = max(1, math.ceil(round(sound.seconds * float(rate), 6)))
    frame_times = np.arange(count) / float(rate)
    step = _HOP_SAMPLES / sound.rate

    def curve(level: np.ndarray) -> np.ndarray:
        return np.interp(frame_times, window_times, followed(level, step, attack, release))

    loud = _loud(found["whole"])
    levels = {}
    for name in masks:
        full = max(_loud(found[name]), _EMPTY_BAND_FRACTION * loud)
        levels[name] = _level(found[name], full, gate)
    levels["rms"] = _level(found["whole"], loud, gate)
    levels["centroid"] = _brightness(found["centroid"], levels["rms"])
    curves = {name: curve(level) for name, level in levels.items()}
    curves["onset"] = pulses(_onsets(librosa, found.pop("mel"), sound.rate, levels["rms"], onset_gap), frame_times)
    return curves | {"chroma": _harmony_distance(librosa, sound, frame_times)}


def followed(level: np.ndarray, step: float, attack: float, release: float) -> np.ndarray:
    """Returns an envelope follower's output [N], with one time constant for rises and one for falls.

    Args:
        level: [N], the input.
        step: seconds between two values.
        attack: time constant of a rise, seconds; 0 follows at once.
        release: time constant of a fall, seconds.
    """
    up, down = (1 - math.exp(-step / seconds) if seconds else 1.0 for seconds in (attack, release))
    result, value = np.empty(len(level)), 0.0
    for i, wanted in enumerate(level.tolist()):
        value += (wanted - value) * (up if wanted > value else down)
        result[i] = value
    return result


def pulses(moments: Sequence[float] | np.ndarray, frame_times: np.ndarray) -> np.ndarray:
    """Returns smooth bumps [T] of height 1 at some moments.

    Args:
        moments: [N], seconds.
        frame_times: [T], seconds of the frames, rising.
    """
    rise, fall = _PULSE_SECONDS
    heights = np.zeros(len(frame_times))
    for moment in np.asarray(moments, float).tolist():
        near = slice(*np.searchsorted(frame_times, [moment - rise, moment + fall]))
        distance = frame_times[near] - moment
        share = np.where(distance < 0, -distance / rise, distance / fall)
        heights[near] = np.maximum(heights[near], 0.5 + 0.5 * np.cos(np.pi * share))
    return heights


def _librosa() -> Any:
    try:
        import librosa
    except ImportError as error:
        raise BadInput("sound needs librosa; pip install 'fewshot_heads[creative]'") from error
    return librosa


def _spectra(librosa: Any, samples: np.ndarray, window: int, hop: int) -> Iterator[np.ndarray]:
    """Yields the power [window / 2 + 1, N] of stretches of a sound, together that of `librosa.stft`.

    The power of two hours at once would take 5 GiB.
    """
    count = 1 + max(len(samples), window) // hop
    for first in range(0, count, _STRETCH_WINDOWS):
        last = min(first + _STRETCH_WINDOWS, count) - 1
        begin, end = first * hop - window // 2, last * hop + window // 2  # windows stand around their times
        stretch = np.pad(samples[max(begin, 0) : end], (max(-begin, 0), max(end - max(len(samples), begin), 0)))
        yield np.abs(librosa.stft(stretch, n_fft=window, hop_length=hop, window="hann", center=False)) ** 2


def _loudness(power: np.ndarray, window: int = _WINDOW_SAMPLES) -> np.ndarray:
    """Returns the root mean square [N] of the samples of a one-sided Hann spectrum (Parseval)."""
    return np.sqrt(2 * power.sum(0) / (window * 3 / 8 * window))


def _loud(loudness: np.ndarray) -> float:
    audible = loudness[loudness > _SILENCE]
    return float(np.percentile(audible, _LOUD_PERCENTILE)) if len(audible) else math.inf


def _level(loudness: np.ndarray, loud: float, gate: float) -> np.ndarray:
    return np.clip((loudness / loud - gate) / (1 - gate), 0, 1) * (loudness > _SILENCE)


def _brightness(centroid: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Returns octaves above the recording's dark passages, over the octaves (one or more) up to its bright ones."""
    audible = level > 0
    if not audible.any():
        return np.zeros(len(centroid))
    octaves = np.log2(np.maximum(centroid, 20))
    dark, bright = np.percentile(octaves[audible], [10, 90])
    return np.where(audible, np.clip((octaves - dark) / max(bright - dark, 1), 0, 1), 0)


def _harmony_distance(librosa: Any, sound: Audio, frame_times: np.ndarray) -> np.ndarray:
    """Returns the harmony's distance [T] from the recording's mean harmony, as a share of the largest distance."""
    parts = []
    for power in _spectra(librosa, sound.samples, _NOTE_WINDOW_SAMPLES, _NOTE_WINDOW_SAMPLES // 4):
        chroma = np.sqrt(librosa.feature.chroma_stft(S=power, sr=sound.rate, norm=None, tuning=0.0))
        parts.append(chroma * (_loudness(power, _NOTE_WINDOW_SAMPLES) > _SILENCE))
    notes = np.concatenate(parts, axis=1)
    step = _NOTE_WINDOW_SAMPLES / 4 / sound.rate
    window = np.hanning(2 * round(_HARMONY_SECONDS / step / 2) + 3)
    slow = np.stack([np.convolve(note, window)[len(window) // 2 :][: len(note)] for note in notes])
    mean_harmony = notes.sum(1)
    lengths = np.linalg.norm(slow, axis=0) * np.linalg.norm(mean_harmony)
    distance = np.where(lengths > 0, 1 - mean_harmony @ slow / np.maximum(lengths, 1e-12), 0.0)
    distance = np.clip(distance / max(np.percentile(distance, _LOUD_PERCENTILE), _LEAST_HARMONY_DISTANCE), 0, 1)
    return np.interp(frame_times, np.arange(len(distance)) * step, followed(distance, step, 1.0, 1.0))


def _onsets(librosa: Any, mel: np.ndarray, rate: int, level: np.ndarray, gap: float) -> np.ndarray:
    """Returns the seconds of the strongest onsets, none nearer than `gap` seconds to a stronger one."""
    mel = librosa.power_to_db(mel)  # in place of the power, 300 MB for two hours
    strength = librosa.onset.onset_strength(S=mel, sr=rate, hop_length=_HOP_SAMPLES) * (level > 0)
    if not strength.any():
        return np.zeros(0)
    found = librosa.onset.onset_detect(onset_envelope=strength, sr=rate, hop_length=_HOP_SAMPLES)
    kept: list[float] = []
    for index in sorted(found, key=lambda index: -strength[index]):
        seconds = index * _HOP_SAMPLES / rate
        place = bisect.bisect(kept, seconds)
        if all(abs(seconds - other) >= gap for other in kept[max(place - 1, 0) : place + 1]):
            kept.insert(place, seconds)
    return np.array(kept)
