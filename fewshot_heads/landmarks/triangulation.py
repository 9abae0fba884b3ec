"""Triangulation of landmarks, with OpenCV: scipy's is imported in half a second and takes 40 MiB."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

_MARGIN_SIDES = 16  # sides of the bounding box between it and the outer triangle with which the algorithm begins
_CHUNK = 64  # positions that are located at once, so that the arrays stay small
_TOLERANCE = 1e-9  # of a share: a position on an edge is inside


class Located(NamedTuple):
    """Positions in the triangles of a set of points.

    Attributes:
        corners: int [M, 3], the points of each position's triangle. Outside, those of one that is near.
        shares: float64 [M, 3], barycentric coordinates, which sum to 1. Outside, one is negative.
        inside: bool [M].
    """

    corners: np.ndarray
    shares: np.ndarray
    inside: np.ndarray


def locate(points: np.ndarray, positions: np.ndarray) -> Located:
    """Returns positions in the Delaunay triangulation of points.

    Args:
        points: [N, 2].
        positions: [M, 2].
    """
    triangles = delaunay(points)
    # Barycentric coordinates are affine: columns of the inverse of the homogeneous corners.
    affine = np.linalg.inv(np.concatenate([points[triangles], np.ones((len(triangles), 3, 1))], 2)).transpose(1, 2, 0)
    found, shares = np.zeros(len(positions), int), np.zeros((len(positions), 3))
    for first in range(0, len(positions), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        x, y = positions[chunk].T[..., None]
        each = np.stack([x * right + y * down + start for right, down, start in affine.transpose(1, 0, 2)])  # [3, m, T]
        found[chunk] = each.min(0).argmax(1)
        shares[chunk] = each[:, np.arange(len(x)), found[chunk]].T
    return Located(triangles[found], shares, shares.min(1) > -_TOLERANCE)


def delaunay(points: np.ndarray) -> np.ndarray:
    """Returns the triangles of the Delaunay triangulation of points, int [T, 3], indices of their corners.

    Args:
        points: [N, 2]. Of points in one place, one is a corner.
    """
    exact = points.astype(np.float32)
    low, high = np.floor(exact.min(0)).astype(int), np.ceil(exact.max(0)).astype(int)
    margin = _MARGIN_SIDES * int((high - low).max() + 1)
    plane = cv2.Subdiv2D([*(low - margin).tolist(), *(high - low + 2 * margin).tolist()])
    for point in exact.tolist():
        plane.insert(point)
    index = {tuple(point): i for i, point in enumerate(exact.tolist())}
    corners = np.asarray(plane.getTriangleList()).reshape(-1, 3, 2).tolist()
    return np.array([[index[tuple(corner)] for corner in triangle] for triangle in corners])
