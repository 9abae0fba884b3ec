"""Whether points are those of faces. In a damaged file, points that are not divide by zero or fill the memory."""

from __future__ import annotations

import numpy as np

_MIN_FACE_PIXELS = 1.0
_MIN_WIDTH_FACE_FRACTION = 1e-3  # of an eye or a mouth; also of the spread of a face across its longest direction
_MAX_REACH_FACES = 4  # of depth from the median, and of skin points from the mean


def are_faces(points: np.ndarray) -> bool:
    """Returns whether points span faces: two eyes and a mouth, not all on one line, and no deeper than heads are.

    Args:
        points: [N, 70 or 221, 3], pixels, as `Landmarks.to_array` stores them; the first two coordinates are finite.
    """
    plane, depth = points[:, :70, :2].astype(np.float64), points[..., 2].astype(np.float64)
    sizes = np.ptp(plane, axis=1).max(1)
    from_mean = plane - plane.mean(1, keepdims=True)
    spread = np.sqrt(np.linalg.eigvalsh(from_mean.swapaxes(1, 2) @ from_mean / plane.shape[1])[:, 0].clip(0))
    corners = plane[:, [36, 42, 48]] - plane[:, [39, 45, 54]]
    least = np.minimum(np.linalg.norm(corners, axis=2).min(1), spread)
    depth = depth - np.median(depth, axis=1, keepdims=True)
    deepest = np.abs(np.nan_to_num(depth)).max(1)
    farthest = np.abs(points[..., :2] - plane.mean(1, keepdims=True)).max((1, 2))
    reach = np.maximum(deepest, farthest)
    is_large = sizes >= _MIN_FACE_PIXELS
    return bool((is_large & (least > _MIN_WIDTH_FACE_FRACTION * sizes) & (reach <= _MAX_REACH_FACES * sizes)).all())


def opacity_at(points: np.ndarray, alpha: np.ndarray) -> float:
    """Returns the mean opacity of a layer at points, 0 to 1. Points outside count at the nearest pixel.

    Args:
        points: [N, 2], pixels of the layer.
        alpha: uint8 [H, W].
    """
    column, row = points.astype(int).clip(0, np.array(alpha.shape[::-1]) - 1).T
    return float(alpha[row, column].mean() / 255)
