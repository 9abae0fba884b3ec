"""One-Euro smoothing of landmarks (Casiez et al., CHI 2012)."""

from __future__ import annotations

from math import pi

import numpy as np

from fewshot_heads.landmarks import Landmarks


def smoothed(faces: list[Landmarks], strength: float = 1.0, rate: float = 25.0) -> list[Landmarks]:
    """One-Euro filter (Casiez et al., CHI 2012), run forwards and backwards and averaged: it adds no lag.

    The cut-off rises with the speed of each point, measured in face sizes a second: still points are held
    quiet, quick ones (a blink) pass. strength 1 has a cut-off of 2 Hz at rest; 0 returns the input.
    """
    if strength <= 0 or len(faces) < 3:
        return faces
    size = float(np.median([face.size for face in faces]))
    arrays = [face.to_array() for face in faces]
    tracks = np.array([array[: min(map(len, arrays))] for array in arrays])  # the surface only where all have it
    flat = np.isnan(tracks).any()  # without depth
    smooth = tracks[..., : 2 if flat else 3] / size
    ahead = _one_euro(smooth, strength, rate)
    back = _one_euro(smooth[::-1], strength, rate)[::-1]
    tracks[..., : smooth.shape[-1]] = (ahead + back) * np.float32(size / 2)
    return [Landmarks.from_array(track, face.confidence) for face, track in zip(faces, tracks, strict=True)]


def _one_euro(x: np.ndarray, strength: float, rate: float) -> np.ndarray:
    """x float32 [T, N, D] in face sizes; see `smoothed`."""
    at_rest, per_speed, speed_cutoff = 2.0 / strength, 30.0 / strength, 2.0

    def weight(cutoff):
        return 1 / (1 + rate / (2 * pi * cutoff))

    result, speed = x.copy(), np.zeros(x.shape[1:])
    for t in range(1, len(x)):
        speed = speed + weight(speed_cutoff) * ((x[t] - x[t - 1]) * rate - speed)
        cutoff = at_rest + per_speed * np.linalg.norm(speed, axis=-1, keepdims=True)
        result[t] = result[t - 1] + weight(cutoff) * (x[t] - result[t - 1])
    return result
