"""Depth of a head: measured in the face, inflated from the silhouette around it."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve
from threadpoolctl import threadpool_limits

from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d, surface_visibility

_JAW = slice(0, 17)
_TEMPLES = [0, 16]
_RIM_BEHIND_TEMPLES_HEAD_UNITS = 0.35  # depth of the silhouette's plane: behind the ears
# Negative Laplacian of the squared depth, per squared pixel. A sphere has 4; the face's own depth inflates the rest.
_CURVATURE = 1.8
_MIN_MATTE = 0.3
_MAX_SLOPE = 1.7  # depth per pixel: a steeper surface has too few points when it turns to the viewer
_SLOPE_PASSES = 16  # pixels over which the slope is limited
_SMOOTHING_PIXELS = 0.8  # standard deviation; linear interpolation between landmarks leaves creases


# scipy solves a tiny system for each triangle. OpenBLAS shares it out to its threads, which wait busily for each other:
# in a process that is confined to one core after its start, a depth takes 3 s instead of .03.
@threadpool_limits.wrap(limits=1, user_api="blas")
def head_depth(face: Landmarks, matte: np.ndarray) -> np.ndarray:
    """Returns the depth of a head's surface, float32 [g, g], pixels of the map, larger is farther away.

    In the face, the depth is interpolated between the landmarks that face the viewer. Around it, the squared depth in
    front of the silhouette's plane solves a Poisson equation with 0 at the silhouette. A disk becomes an ellipsoid. Any
    slope is limited, so the silhouette lies as far back as its surroundings permit.

    Args:
        face: landmarks, pixels of the map.
        matte: float32 [g, g], 0 to 1, the head.
    """
    points, size = landmarks_3d(face), len(matte)
    silhouette = points[_TEMPLES, 2].mean() + _RIM_BEHIND_TEMPLES_HEAD_UNITS * fit_pose(face).scale
    shown = points[_facing_viewer(face, points)]
    y, x = np.mgrid[:size, :size] + 0.5
    measured = LinearNDInterpolator(shown[:, :2], shown[:, 2])(x, y)  # NaN outside the convex hull
    in_face = ~np.isnan(measured)
    squared = np.where(in_face, np.maximum(silhouette - np.nan_to_num(measured), 0) ** 2, 0.0)
    unknown = (matte > _MIN_MATTE) & ~in_face
    squared[unknown] = _solve_poisson(squared, unknown)
    depth = _limit_slope((silhouette - np.sqrt(np.maximum(squared, 0))).astype(np.float32))
    return cv2.GaussianBlur(depth, (0, 0), _SMOOTHING_PIXELS)


def _facing_viewer(face: Landmarks, points: np.ndarray) -> np.ndarray:
    """Returns which points do not face away, bool [N]. A jaw point is as visible as the nearest point of the skin."""
    facing = np.ones(len(points), bool)
    if not face.has_surface:
        facing[_JAW] = False
        return facing
    facing[N_POINTS:] = surface_visibility(face) > 0
    nearest = ((points[_JAW, None] - points[N_POINTS:]) ** 2).sum(-1).argmin(1)
    facing[_JAW] = facing[N_POINTS + nearest]
    return facing


def _solve_poisson(values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Returns the unknown values [M] of a map with the Laplacian -`_CURVATURE`.

    Args:
        values: [g, g], the boundary values where not unknown. Beyond the map they are 0.
        unknown: bool [g, g].
    """
    rows, columns = np.nonzero(unknown)
    count = len(rows)
    if not count:
        return np.zeros(0)
    number = np.full(np.add(unknown.shape, 2), -1)
    number[rows + 1, columns + 1] = np.arange(count)
    padded = np.pad(values, 1)
    right = np.full(count, _CURVATURE)
    entries = [(np.arange(count), np.arange(count), np.full(count, 4.0))]
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        neighbor = number[rows + 1 + dy, columns + 1 + dx]
        inner = np.flatnonzero(neighbor >= 0)
        right += np.where(neighbor < 0, padded[rows + 1 + dy, columns + 1 + dx], 0)
        entries.append((inner, neighbor[inner], np.full(len(inner), -1.0)))
    i, j, value = (np.concatenate(part) for part in zip(*entries, strict=True))
    return spsolve(coo_matrix((value, (i, j)), (count, count)).tocsr(), right)


def _limit_slope(depth: np.ndarray) -> np.ndarray:
    """Returns the depth [g, g], brought forward where it falls off by more than `_MAX_SLOPE` per pixel."""
    for _ in range(_SLOPE_PASSES):
        around = np.pad(depth, 1, mode="edge")
        straight = np.minimum.reduce([around[1:-1, 2:], around[1:-1, :-2], around[2:, 1:-1], around[:-2, 1:-1]])
        diagonal = np.minimum.reduce([around[2:, 2:], around[2:, :-2], around[:-2, 2:], around[:-2, :-2]])
        forward = np.minimum(straight + np.float32(_MAX_SLOPE), diagonal + np.float32(_MAX_SLOPE * 2**0.5))
        depth = np.minimum(depth, forward)
    return depth


def surface_normals(depth: np.ndarray) -> np.ndarray:
    """Returns unit normals [g, g, 3] of a depth map [g, g] in pixels of the map, toward the viewer."""
    dx, dy = (cv2.Sobel(depth, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    normals = np.dstack([dx, dy, -np.ones_like(dx)])
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)
