"""Interpolation between K people along a path.

A position counts people: 0 is the first person, 1.5 is halfway from the second to the third. A closed path continues
past the last person: K - 0.5 is halfway back to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import Pose


def _smooth(t: np.ndarray) -> np.ndarray:
    return t * t * (3 - 2 * t)


# By name: from a share of the time between two people, 0 to 1, to a share of the path between them.
EASINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda t: t,
    "smooth": _smooth,
    "hold": lambda t: _smooth(np.clip(2 * t - 0.5, 0, 1)),
}


def positions(frames: int, people: int, easing: str, loop: bool) -> np.ndarray:
    """Returns the position of each frame, float64 [frames], from the first person to the last.

    Args:
        frames: number of frames.
        people: K.
        easing: a key of `EASINGS`.
        loop: whether the path is closed. Then the last frame lies just before the first person.
    """
    segments = people if loop else people - 1
    moments = np.arange(frames) * (segments / (frames if loop else max(frames - 1, 1)))
    start = np.minimum(np.floor(moments), segments - 1)
    return start + EASINGS[easing](moments - start)


def shares(at: np.ndarray, people: int) -> np.ndarray:
    """Returns each person's share at positions [N], float64 [N, K]: two people at most, rows sum to 1."""
    first, t = _segment(at)
    row, result = np.arange(len(at)), np.zeros((len(at), people))
    result[row, first % people] = 1 - t
    result[row, (first + 1) % people] += t
    return result


def spline_shares(at: np.ndarray, people: int, loop: bool) -> np.ndarray:
    """Returns shares [N, K] along a curve without corners (Catmull and Rom, 1974, tension 1/2).

    Rows sum to 1. Up to four people count, and shares can lie a little below 0. Between two people of an open path the
    curve is a straight line.

    Args:
        at: [N], positions.
        people: K.
        loop: whether the path is closed.
    """
    first, t = _segment(at)
    knots = np.eye(people)[np.arange(-1, people + 2) % people]
    if not loop:
        knots[0], knots[people + 1] = 2 * knots[1] - knots[2], 2 * knots[people] - knots[people - 1]
    t2, t3 = t * t, t * t * t
    weights = (2 * t2 - t - t3, 2 - 5 * t2 + 3 * t3, t + 4 * t2 - 3 * t3, t3 - t2)
    return np.sum([w[:, None] / 2 * knots[first + i] for i, w in enumerate(weights)], axis=0)


def spherical(keys: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Returns vectors [N, E] along great circles between keys (Shoemake, SIGGRAPH 1985).

    Args:
        keys: [K, E]. Lengths are interpolated linearly.
        at: [N], positions.
    """
    first, t = _segment(at)
    t = t[:, None]
    lengths = np.linalg.norm(keys, axis=1, keepdims=True)
    units = keys / np.maximum(lengths, 1e-12)
    a, b = first % len(keys), (first + 1) % len(keys)
    angle = np.arccos(np.clip((units[a] * units[b]).sum(1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    safe_sine = np.maximum(sine, 1e-6)
    chord = (1 - t) * units[a] + t * units[b]
    arc = (np.sin((1 - t) * angle) * units[a] + np.sin(t * angle) * units[b]) / safe_sine
    return np.where(sine > 1e-6, arc, chord) * ((1 - t) * lengths[a] + t * lengths[b])


def truncated(values: np.ndarray, mean: np.ndarray, truncation: float) -> np.ndarray:
    """Returns values [N, D] drawn toward a mean [D]; truncation 1 leaves them, 0 gives the mean."""
    return mean + truncation * (values - mean)


def between(faces: Sequence[Landmarks], shapes: np.ndarray, poses: np.ndarray | None = None) -> Landmarks:
    """Returns the weighted mean of K faces, shape and pose separately.

    Args:
        faces: K faces, pixels of one crop.
        shapes: [K], weights of the shapes in the head's frame.
        poses: [K], weights of the poses; None takes `shapes`.
    """
    parts = [CanonicalFace.of(face) for face in faces]
    poses = shapes if poses is None else poses
    count = min(len(part.shape) for part in parts)  # the surface only if every face has one
    shape = np.tensordot(shapes, [part.shape[:count] for part in parts], 1)
    # The rotation nearest to the mean matrix; for two equal weights it is halfway of the turn.
    u, _, vt = np.linalg.svd(np.tensordot(poses, [part.pose.rotation for part in parts], 1))
    rotation = (u * [1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    translation = np.tensordot(poses, [part.pose.translation for part in parts], 1)
    scale = float(np.dot(poses, [part.pose.scale for part in parts]))
    points = Pose(rotation, translation, scale).apply(shape)
    return Landmarks.from_array(points, min(face.confidence for face in faces))


def _segment(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the person before each position, and the share of the path to the next one."""
    first = np.floor(at).astype(int)
    return first, at - first
