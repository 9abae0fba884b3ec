"""Smoothing of landmarks over time, without lag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import pi

import numpy as np

from fewshot_heads.driving.sequences import spooled
from fewshot_heads.landmarks import N_POINTS, N_SURFACE, Landmarks

# Parameters of the One-Euro filter at strength 1.
_CUTOFF_AT_REST_HZ = 2.0
_CUTOFF_HZ_PER_SPEED = 30.0  # speed in face sizes per second: quick motions, such as a blink, pass
_SPEED_CUTOFF_HZ = 2.0


def smoothed(faces: Sequence[Landmarks], strength: float = 1.0, rate: float = 25.0) -> Iterator[Landmarks]:
    """Yields faces smoothed with a One-Euro filter (Casiez et al., CHI 2012).

    The filter runs forward and backward, and the mean of both has no lag. The cutoff rises with the speed of each
    point. The surface is kept only if all faces have one, and depth is smoothed only if all faces have depth.

    Args:
        faces: one face for each frame, pixels.
        strength: the cutoff at rest is 2 Hz / strength. 0 yields the faces unchanged.
        rate: frames per second.
    """
    if strength <= 0 or len(faces) < 3:
        yield from faces
        return
    size = float(np.median([face.size for face in faces]))
    count = N_POINTS + N_SURFACE if all(face.has_surface for face in faces) else N_POINTS
    dimensions = 3 if all(face.has_depth for face in faces) else 2

    def filtered(ordered: Iterable[Landmarks]) -> Iterator[np.ndarray]:
        return _one_euro((face.to_array()[:count, :dimensions] / size for face in ordered), strength, rate)

    backward = spooled(filtered(reversed(faces)))
    for face, ahead, back in zip(faces, filtered(faces), reversed(backward), strict=True):
        points = face.to_array()[:count]
        points[:, :dimensions] = (ahead + back) * np.float32(size / 2)
        yield Landmarks.from_array(points, face.confidence)


def _one_euro(positions: Iterable[np.ndarray], strength: float, rate: float) -> Iterator[np.ndarray]:
    """Yields positions after one pass of the filter.

    Args:
        positions: float32 [N, D] for each frame, face sizes.
        strength: as in `smoothed`.
        rate: frames per second.
    """
    at_rest, per_speed = _CUTOFF_AT_REST_HZ / strength, _CUTOFF_HZ_PER_SPEED / strength

    def weight(cutoff):
        return 1 / (1 + rate / (2 * pi * cutoff))

    remaining = iter(positions)
    before = result = next(remaining)
    speed = np.zeros(before.shape)
    yield result
    for position in remaining:
        speed = speed + weight(_SPEED_CUTOFF_HZ) * ((position - before) * rate - speed)
        cutoff = at_rest + per_speed * np.linalg.norm(speed, axis=-1, keepdims=True)
        result = (result + weight(cutoff) * (position - result)).astype(np.float32)
        before = position
        yield result
