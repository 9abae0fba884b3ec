"""Smoothing of landmarks over time: without lag for a whole video, causal for a live camera."""

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
_MIN_STEP_S = 1e-3  # between two frames of a camera


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
    """Yields positions [N, D] after one pass of the filter, face sizes."""
    one_euro = OneEuroFilter(strength)
    for position in positions:
        yield one_euro(position, rate)


class CausalSmoother:
    """Smooths the faces of a live camera, which are known up to the present only.

    Args:
        strength: as in `smoothed`.
    """

    def __init__(self, strength: float = 1.0) -> None:
        self._strength = strength
        self.reset()

    def reset(self) -> None:
        """Forgets the faces, as after a cut."""
        self._filter = OneEuroFilter(self._strength) if self._strength > 0 else None
        self._size, self._time = 0.0, 0.0

    def smooth(self, face: Landmarks, time: float) -> Landmarks:
        """Returns the next face, smoothed.

        Args:
            face: a face with depth and surface, or each without, pixels.
            time: of the frame, seconds, later than that of the face before.
        """
        if self._filter is None:
            return face
        self._size = self._size or face.size
        dimensions, points = 3 if face.has_depth else 2, face.to_array()
        rate = 1 / max(time - self._time, _MIN_STEP_S)
        points[:, :dimensions] = self._filter(points[:, :dimensions] / np.float32(self._size), rate) * self._size
        self._time = time
        return Landmarks.from_array(points, face.confidence)


class OneEuroFilter:
    """One forward pass of the One-Euro filter, a position at a time. The pass is causal, so it lags a little.

    Args:
        strength: as in `smoothed`, more than 0.
    """

    def __init__(self, strength: float) -> None:
        self._at_rest, self._per_speed = _CUTOFF_AT_REST_HZ / strength, _CUTOFF_HZ_PER_SPEED / strength
        self._before: np.ndarray | None = None
        self._speed = self._result = np.zeros(0)

    def __call__(self, position: np.ndarray, rate: float) -> np.ndarray:
        """Returns the filtered position.

        Args:
            position: float32 [N, D], face sizes.
            rate: 1 / seconds since the position before.
        """
        if self._before is None:
            self._speed, self._result = np.zeros(position.shape), position
        else:
            self._speed = self._speed + _weight(_SPEED_CUTOFF_HZ, rate) * (
                (position - self._before) * rate - self._speed
            )
            cutoff = self._at_rest + self._per_speed * np.linalg.norm(self._speed, axis=-1, keepdims=True)
            step = _weight(cutoff, rate) * (position - self._result)
            self._result = (self._result + step).astype(np.float32)
        self._before = position
        return self._result


def _weight(cutoff, rate: float):
    """Returns the weight of a new value in a low pass with a cutoff, Hz."""
    return 1 / (1 + rate / (2 * pi * cutoff))
