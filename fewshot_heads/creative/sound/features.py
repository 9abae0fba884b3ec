"""What a sound does, as curves from 0 to 1, one value a video frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from fewshot_heads.errors import BadInput, UsageError
from fewshot_heads.media.audio import Audio

SIGNALS = {
    "bass": "loudness of the low band",
    "vocal": "loudness of the band of voices",
    "rms": "loudness of everything",
    "centroid": "brightness: where the spectrum has its centre",
    "onset": "a pulse at each of the strongest beginnings of notes",
    "chroma": "how far the harmony has gone from the recording's home, slowly",
}
_WINDOW, _HOP = 1024, 256  # samples
_SILENT = 1e-3  # of full scale: -60 dB
_LOUD = 95  # percentile of what is not silent that counts as 1: one bang must not make all else quiet
_ABSENT = 0.05  # of the whole's loudness, below which a band counts as empty
_NOTES = 8192  # samples in which neighbouring notes are told apart
_DRIFT = 4.0  # seconds of music whose notes are one harmony
_AWAY = 0.05  # least distance (1 - cosine) of harmonies that counts as 1: a drone goes nowhere
_PULSE = (0.08, 0.18)  # seconds a pulse rises and falls: those of a blink


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
    """The `SIGNALS` of a sound, each float64 [T] in 0..1: T is seconds times rate, rounded up; value t is at t / rate.

    bass, vocal: lowest and highest frequency, Hz. attack, release: seconds in which a curve follows a rise and a fall.
    gate: share of full loudness that still counts as silence. onset_gap: least seconds between two pulses.
    Loudness is linear and 1 where the recording is loud; a silent one has curves of 0.
    """
    librosa = _librosa()
    for name, band in (("bass", bass), ("vocal", vocal)):
        if len(band) != 2 or not 0 <= band[0] < band[1]:
            raise UsageError(f"{name}={list(band)}: expected two rising frequencies in Hz, such as [20,150]")
    for name, value in (("attack", attack), ("release", release), ("gate", gate), ("onset_gap", onset_gap)):
        if not 0 <= value < (1 if name == "gate" else math.inf):
            raise UsageError(f"{name}={value}: expected a number from 0{' to 1' if name == 'gate' else ''}")
    samples = np.pad(sound.samples, (0, max(0, _WINDOW - len(sound.samples))))
    power = np.abs(librosa.stft(samples, n_fft=_WINDOW, hop_length=_HOP, window="hann")) ** 2
    pitch = librosa.fft_frequencies(sr=sound.rate, n_fft=_WINDOW)
    seen = librosa.times_like(power, sr=sound.rate, hop_length=_HOP)
    count = max(1, math.ceil(round(sound.seconds * float(rate), 6)))
    shown = np.arange(count) / float(rate)
    step = _HOP / sound.rate

    def curve(level: np.ndarray) -> np.ndarray:
        return np.interp(shown, seen, followed(level, step, attack, release))

    whole = _loudness(power)
    loud = _loud(whole)
    bands = {name: _loudness(power[(pitch >= low) & (pitch < high)]) for name, (low, high) in
             (("bass", bass), ("vocal", vocal))}  # fmt: skip
    levels = {name: _level(band, max(_loud(band), _ABSENT * loud), gate) for name, band in bands.items()}
    levels["rms"] = _level(whole, loud, gate)
    levels["centroid"] = _brightness(librosa.feature.spectral_centroid(S=np.sqrt(power), freq=pitch)[0], levels["rms"])
    curves = {name: curve(level) for name, level in levels.items()}
    curves["onset"] = pulses(_onsets(librosa, power, sound.rate, levels["rms"], onset_gap), shown)
    return curves | {"chroma": _wandering(librosa, sound, shown)}


def followed(level: np.ndarray, step: float, attack: float, release: float) -> np.ndarray:
    """An envelope follower: rises towards level [N] with one time constant and falls with another; all in seconds."""
    up, down = (1 - math.exp(-step / seconds) if seconds else 1.0 for seconds in (attack, release))
    result, value = np.empty(len(level)), 0.0
    for i, wanted in enumerate(level.tolist()):
        value += (wanted - value) * (up if wanted > value else down)
        result[i] = value
    return result


def pulses(moments: Sequence[float] | np.ndarray, shown: np.ndarray) -> np.ndarray:
    """[T] for frames at `shown` seconds: smooth bumps with their height of 1 at the moments."""
    away = shown[:, None] - np.asarray(moments, float).reshape(1, -1)
    share = np.clip(np.where(away < 0, -away / _PULSE[0], away / _PULSE[1]), 0, 1)
    return (0.5 + 0.5 * np.cos(np.pi * share)).max(1, initial=0.0)


def _librosa() -> Any:
    try:
        import librosa
    except ImportError as error:
        raise BadInput("sound needs librosa: pip install 'fewshot_heads[creative]'") from error
    return librosa


def _loudness(power: np.ndarray, window: int = _WINDOW) -> np.ndarray:
    """Root mean square [N] of the samples behind rows of a one-sided spectrum under a Hann window (Parseval)."""
    return np.sqrt(2 * power.sum(0) / (window * 3 / 8 * window))


def _loud(loudness: np.ndarray) -> float:
    heard = loudness[loudness > _SILENT]
    return float(np.percentile(heard, _LOUD)) if len(heard) else math.inf


def _level(loudness: np.ndarray, loud: float, gate: float) -> np.ndarray:
    return np.clip((loudness / loud - gate) / (1 - gate), 0, 1) * (loudness > _SILENT)


def _brightness(centroid: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Octaves above the recording's dark passages over the octaves (at least one) up to its bright ones."""
    heard = level > 0
    if not heard.any():
        return np.zeros(len(centroid))
    octaves = np.log2(np.maximum(centroid, 20))
    dark, bright = np.percentile(octaves[heard], [10, 90])
    return np.where(heard, np.clip((octaves - dark) / max(bright - dark, 1), 0, 1), 0)


def _wandering(librosa: Any, sound: Audio, shown: np.ndarray) -> np.ndarray:
    """For frames at `shown` seconds [T] the distance of the harmony from the whole recording's mean one, as a share of
    the farthest it goes."""
    samples = np.pad(sound.samples, (0, max(0, _NOTES - len(sound.samples))))
    power = np.abs(librosa.stft(samples, n_fft=_NOTES, hop_length=_NOTES // 4)) ** 2
    notes = np.sqrt(librosa.feature.chroma_stft(S=power, sr=sound.rate, norm=None, tuning=0.0))
    notes *= _loudness(power, _NOTES) > _SILENT
    step = _NOTES / 4 / sound.rate
    window = np.hanning(2 * round(_DRIFT / step / 2) + 3)
    slow = np.stack([np.convolve(note, window)[len(window) // 2 :][: len(note)] for note in notes])
    home = notes.sum(1)
    lengths = np.linalg.norm(slow, axis=0) * np.linalg.norm(home)
    away = np.where(lengths > 0, 1 - home @ slow / np.maximum(lengths, 1e-12), 0.0)
    away = np.clip(away / max(np.percentile(away, _LOUD), _AWAY), 0, 1)
    return np.interp(shown, np.arange(len(away)) * step, followed(away, step, 1.0, 1.0))


def _onsets(librosa: Any, power: np.ndarray, rate: int, level: np.ndarray, gap: float) -> np.ndarray:
    """Seconds of the strongest onsets, none nearer than `gap` to a stronger one."""
    bands = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=rate))
    strength = librosa.onset.onset_strength(S=bands, sr=rate, hop_length=_HOP) * (level > 0)
    if not strength.any():
        return np.zeros(0)
    found = librosa.onset.onset_detect(onset_envelope=strength, sr=rate, hop_length=_HOP)
    kept: list[float] = []
    for index in sorted(found, key=lambda index: -strength[index]):
        if all(abs(index * _HOP / rate - other) >= gap for other in kept):
            kept.append(index * _HOP / rate)
    return np.sort(kept)
