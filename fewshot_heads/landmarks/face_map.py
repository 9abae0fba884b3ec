"""A square map of the skin of a face: each cell lies at the same place of every face.

The map is the mean face seen from the front. A triangulation of its landmarks carries the cells to any face.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.landmarks import BROWS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, landmarks_3d
from fewshot_heads.landmarks.triangulation import locate

CELLS = 96  # side of the map
_MARGIN = 1.02  # side of the map over that of the face
_JAW_POINTS = 17  # the outline in the image, which is not fixed to the skin
_INNER_POINTS = slice(_JAW_POINTS, 68)  # without the jaw and the irises
_NOSTRILS = slice(31, 36)
_RIGHT_BROW, _LEFT_BROW = slice(BROWS.start, BROWS.start + 5), slice(BROWS.start + 5, BROWS.stop)
# Features that are no skin, and how far from them skin begins, head units.
_FEATURES = (
    (RIGHT_EYE, 0.06), (LEFT_EYE, 0.06), (_RIGHT_BROW, 0.03), (_LEFT_BROW, 0.03), (OUTER_LIPS, 0.03), (_NOSTRILS, 0.05),
)  # fmt: skip
_EDGE_HEAD_UNITS = 0.09  # width of the map's edge, where a triangulation of landmarks meets hair and background
_SOFT_HEAD_UNITS = 0.03


class _Mesh(NamedTuple):
    """The map's cells in the triangles of the mean face.

    Attributes:
        corners: [3, CELLS^2], landmarks of each cell's triangle.
        shares: float32 [3, CELLS^2, 1], the cell's barycentric coordinates.
        skin: float32 [CELLS, CELLS], 0 to 1, where the map is skin.
    """

    corners: np.ndarray
    shares: np.ndarray
    skin: np.ndarray


_INDICES = np.r_[_INNER_POINTS, len(MEAN_HEAD) : len(MEAN_HEAD) + len(MEAN_SURFACE)]  # of the landmarks in use
_POINTS = np.vstack([MEAN_HEAD, MEAN_SURFACE])[:, :2].astype(np.float64)
CELL_HEAD_UNITS = _MARGIN * float(np.ptp(_POINTS[_INDICES], axis=0).max()) / CELLS


def skin_mask() -> np.ndarray:
    """Returns where the map is skin, not an eye, a brow, a lip or a nostril: float32 [CELLS, CELLS], 0 to 1."""
    return _mesh().skin


def cell_positions(face: Landmarks) -> np.ndarray:
    """Returns where the map's cells lie in an image, float32 [CELLS, CELLS, 3], pixels.

    Args:
        face: landmarks with the surface, pixels.
    """
    mesh = _mesh()
    points = landmarks_3d(face).astype(np.float32)
    parts = [share * points.take(corner, axis=0) for corner, share in zip(mesh.corners, mesh.shares, strict=True)]
    return (parts[0] + parts[1] + parts[2]).reshape(CELLS, CELLS, 3)


def facing(positions: np.ndarray) -> np.ndarray:
    """Returns the cosine at which each cell faces the viewer, [CELLS, CELLS], negative if turned away.

    Args:
        positions: result of `cell_positions`.
    """
    right, down = (
        cv2.split(cv2.Sobel(positions, cv2.CV_32F, *order, ksize=1, borderType=cv2.BORDER_REPLICATE))
        for order in ((1, 0), (0, 1))
    )
    x, y, z = (right[i - 2] * down[i - 1] - right[i - 1] * down[i - 2] for i in range(3))  # of the cross product
    cosine: np.ndarray = z / np.maximum(np.sqrt(x * x + y * y + z * z), 1e-9)
    return cosine


@cache
def _mesh() -> _Mesh:
    """Returns the triangulated map."""
    used = _POINTS[_INDICES]
    points = (_POINTS - (used.min(0) + used.max(0)) / 2) / CELL_HEAD_UNITS + CELLS / 2
    cells = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS)), -1).reshape(-1, 2) + 0.5
    corners, shares, located = locate(points[_INDICES], cells)
    inside = located.reshape(CELLS, CELLS).astype(np.uint8)
    skin = cv2.erode(inside, _disc(_EDGE_HEAD_UNITS), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    for feature, distance in _FEATURES:
        outline = cv2.convexHull((points[feature] - 0.5).round().astype(np.int32))
        hole = cv2.fillConvexPoly(np.zeros_like(skin), outline, 1)
        skin = np.where(cv2.dilate(hole, _disc(distance)) > 0, 0, skin)
    narrow = cv2.erode(skin, _disc(_SOFT_HEAD_UNITS)).astype(np.float32)
    soft = cv2.GaussianBlur(narrow, (0, 0), _SOFT_HEAD_UNITS / CELL_HEAD_UNITS)
    return _Mesh(_INDICES[corners.T], shares.T.astype(np.float32)[..., None].copy(), soft)


def _disc(radius: float) -> np.ndarray:
    """Returns a disc for OpenCV's morphology, head units."""
    width = 2 * round(radius / CELL_HEAD_UNITS) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
