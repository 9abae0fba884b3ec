"""Ways through several people: how far one is at each frame, and what lies between the keys.

A position counts people: 0 is the first, 1.5 is halfway from the second to the third. On a closed path it goes on
past the last, K - 0.5 being halfway back to the first. Without a driver the heads look about on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import Pose

PATHS = ("linear", "spherical", "spline")


def _smooth(t: np.ndarray) -> np.ndarray:
    return t * t * (3 - 2 * t)


EASINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # share of the way, 0 to 1, at a share of the time
    "linear": lambda t: t,
    "smooth": _smooth,
    "hold": lambda t: _smooth(np.clip(2 * t - 0.5, 0, 1)),
}


def positions(frames: int, people: int, easing: str, loop: bool) -> np.ndarray:
    """float64 [frames]: from the first to the last; on a closed path back to just before the first again."""
    segments = people if loop else people - 1
    moments = np.arange(frames) * (segments / (frames if loop else max(frames - 1, 1)))
    start = np.minimum(np.floor(moments), segments - 1)
    return start + EASINGS[easing](moments - start)


def shares(at: np.ndarray, people: int) -> np.ndarray:
    """[N, K]: how much of each person is in positions at [N]; two at most, 0 to 1, rows sum to 1."""
    first, t = _segment(at)
    row, result = np.arange(len(at)), np.zeros((len(at), people))
    result[row, first % people] = 1 - t
    result[row, (first + 1) % people] += t
    return result


def spline_shares(at: np.ndarray, people: int, loop: bool) -> np.ndarray:
    """[N, K] as `shares`, of a curve without corners at the keys: Catmull and Rom, 1974, tension 1/2.

    Rows sum to 1, but up to four people count, and some a little less than 0. An open path goes on beyond its ends
    as it came, so between two people it is the straight line.
    """
    first, t = _segment(at)
    knots = np.eye(people)[np.arange(-1, people + 2) % people]
    if not loop:
        knots[0], knots[people + 1] = 2 * knots[1] - knots[2], 2 * knots[people] - knots[people - 1]
    t2, t3 = t * t, t * t * t
    weights = (2 * t2 - t - t3, 2 - 5 * t2 + 3 * t3, t + 4 * t2 - 3 * t3, t3 - t2)
    return np.sum([w[:, None] / 2 * knots[first + i] for i, w in enumerate(weights)], axis=0)


def spherical(keys: np.ndarray, at: np.ndarray) -> np.ndarray:
    """[N, E] between keys [K, E] along great circles, the length interpolated (Shoemake, SIGGRAPH 1985)."""
    first, t = _segment(at)
    t = t[:, None]
    lengths = np.linalg.norm(keys, axis=1, keepdims=True)
    units = keys / np.maximum(lengths, 1e-12)
    a, b = first % len(keys), (first + 1) % len(keys)
    angle = np.arccos(np.clip((units[a] * units[b]).sum(1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    arc = np.maximum(sine, 1e-6)
    straight = (1 - t) * units[a] + t * units[b]
    bent = (np.sin((1 - t) * angle) * units[a] + np.sin(t * angle) * units[b]) / arc
    return np.where(sine > 1e-6, bent, straight) * ((1 - t) * lengths[a] + t * lengths[b])


def truncated(values: np.ndarray, mean: np.ndarray, truncation: float) -> np.ndarray:
    """values [N, D] drawn toward their keys' mean [D]: 1 leaves them, 0 is the mean."""
    return mean + truncation * (values - mean)


def between(faces: Sequence[Landmarks], shapes: np.ndarray, poses: np.ndarray | None = None) -> Landmarks:
    """The face between K: their mean shape in the head's frame, shares `shapes` [K], under their mean pose.

    poses: shares [K] of the pose; None takes those of the shape.
    """
    parts = [CanonicalFace.of(face) for face in faces]
    poses = shapes if poses is None else poses
    count = min(len(part.shape) for part in parts)  # the surface only where everybody's is known
    local = np.tensordot(shapes, [part.shape[:count] for part in parts], 1)
    # The nearest rotation to the mean of matrices: for two half and half the one in the middle of the turn.
    u, _, vt = np.linalg.svd(np.tensordot(poses, [part.pose.rotation for part in parts], 1))
    rotation = (u * [1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    translation = np.tensordot(poses, [part.pose.translation for part in parts], 1)
    scale = float(np.dot(poses, [part.pose.scale for part in parts]))
    points = Pose(rotation, translation, scale).apply(local)
    return Landmarks.from_array(points, min(face.confidence for face in faces))


def _segment(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The person before each position, and the share of the way to the next."""
    first = np.floor(at).astype(int)
    return first, at - first
