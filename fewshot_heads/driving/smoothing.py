"""Smoothing of landmarks over time, without lag."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import numpy as np

from fewshot_heads.landmarks import Landmarks

# Parameters of the One-Euro filter at strength 1.
_CUTOFF_AT_REST_HZ = 2.0
_CUTOFF_HZ_PER_SPEED = 30.0  # speed in face sizes per second: quick motions, such as a blink, pass
_SPEED_CUTOFF_HZ = 2.0


def smoothed(faces: list[Landmarks], strength: float = 1.0, rate: float = 25.0) -> list[Landmarks]:
    """Returns faces smoothed with a One-Euro filter (Casiez et al., CHI 2012).

    The filter runs forward and backward, and the mean of both has no lag. The cutoff rises with the speed of each
    point. The surface is kept only if all faces have one, and depth is smoothed only if all faces have depth.

    Args:
        faces: one face for each frame, pixels.
        strength: the cutoff at rest is 2 Hz / strength. 0 returns the faces unchanged.
        rate: frames per second.
    """
    if strength <= 0 or len(faces) < 3:
        return faces
    size = float(np.median([face.size for face in faces]))
    if not all(face.has_surface for face in faces):
        faces = [replace(face, surface=None) for face in faces]
    tracks = np.array([face.to_array() for face in faces])
    dimensions = 3 if all(face.has_depth for face in faces) else 2
    positions = tracks[..., :dimensions] / size
    forward = _one_euro(positions, strength, rate)
    backward = _one_euro(positions[::-1], strength, rate)[::-1]
    tracks[..., :dimensions] = (forward + backward) * np.float32(size / 2)
    return [Landmarks.from_array(points, face.confidence) for face, points in zip(faces, tracks, strict=True)]


def _one_euro(positions: np.ndarray, strength: float, rate: float) -> np.ndarray:
    """Returns positions after one pass of the filter.

    Args:
        positions: float32 [T, N, D], face sizes.
        strength: as in `smoothed`.
        rate: frames per second.
    """
    at_rest, per_speed = _CUTOFF_AT_REST_HZ / strength, _CUTOFF_HZ_PER_SPEED / strength

    def weight(cutoff):
        return 1 / (1 + rate / (2 * pi * cutoff))

    result, speed = positions.copy(), np.zeros(positions.shape[1:])
    for t in range(1, len(positions)):
        speed = speed + weight(_SPEED_CUTOFF_HZ) * ((positions[t] - positions[t - 1]) * rate - speed)
        cutoff = at_rest + per_speed * np.linalg.norm(speed, axis=-1, keepdims=True)
        result[t] = result[t - 1] + weight(cutoff) * (positions[t] - result[t - 1])
    return result
