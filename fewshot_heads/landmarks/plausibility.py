"""Whether points are those of faces. In a damaged file, points that are not divide by zero or fill the memory."""

from __future__ import annotations

import numpy as np

from fewshot_heads.landmarks import N_POINTS
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE

_MIN_FACE_PIXELS = 1.0
_MIN_WIDTH_FACE_FRACTION = 1e-3  # of an eye or a mouth; also of the spread of a face across its longest direction
_MAX_REACH_FACES = 4  # of depth from the median, and of skin points from the mean

# Distance of points from the mean head, mapped affinely onto them, over their spread. In 7,306 pictures of people,
# paintings and frames of videos up to 60 degrees from the front its median is 0.04, its maximum 0.19. Expressions three
# times as strong have 0.34, noise in the box of a face 0.88 to 1, and 0.65 where only landmarks or only skin are noise.
_MAX_MISFIT = 0.5
_FRAMES_AT_ONCE = 4096  # a motion may have 190,000, of which copies would take gigabytes


def are_faces(points: np.ndarray) -> bool:
    """Returns whether points span faces: like the mean head, not all on one line, and no deeper than heads are.

    Args:
        points: [N, 70 or 221, 3], pixels, as `Landmarks.to_array` stores them; the first two coordinates are finite.
    """
    return all(map(_are_faces, np.array_split(points, len(points) // _FRAMES_AT_ONCE + 1)))


def _are_faces(points: np.ndarray) -> bool:
    """Returns the same for a few faces."""
    plane, depth = points[:, :N_POINTS, :2].astype(np.float64), points[..., 2].astype(np.float64)
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
    spans = is_large & (least > _MIN_WIDTH_FACE_FRACTION * sizes) & (reach <= _MAX_REACH_FACES * sizes)
    return bool(spans.all() and (_misfit(points) <= _MAX_MISFIT).all())


def _misfit(points: np.ndarray) -> np.ndarray:
    """Returns how far points are from the mean head, mapped affinely onto them: 0 for its like, 1 for noise, [N].

    Args:
        points: as in `are_faces`. Faces whose landmarks have no depth are compared in the image.
    """
    points = points.astype(np.float64)
    has_depth = ~np.isnan(points[:, :N_POINTS, 2]).any(1)
    points[..., 2] = np.where(has_depth[:, None], points[..., 2], 0)
    head = np.column_stack([np.vstack([MEAN_HEAD, MEAN_SURFACE])[: points.shape[1]], np.ones(points.shape[1])])
    fitted = (head @ np.linalg.pinv(head)) @ points
    spread = ((points - points.mean(1, keepdims=True)) ** 2).sum((1, 2))
    misfit: np.ndarray = np.sqrt(((points - fitted) ** 2).sum((1, 2)) / spread)
    return misfit


def opacity_at(points: np.ndarray, alpha: np.ndarray) -> float:
    """Returns the mean opacity of a layer at points, 0 to 1. Points outside count at the nearest pixel.

    Args:
        points: [N, 2], pixels of the layer.
        alpha: uint8 [H, W].
    """
    column, row = points.astype(int).clip(0, np.array(alpha.shape[::-1]) - 1).T
    return float(alpha[row, column].mean() / 255)
