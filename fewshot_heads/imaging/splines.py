"""Thin-plate splines through landmarks.

Bookstein, "Principal Warps", PAMI 1989. Coordinates are x and y from -1 to 1 over the crop, as in `imaging.warping`.
"""

from __future__ import annotations

import numpy as np

from fewshot_heads.imaging.warping import grid_positions, normalize_points, resize_flow, sample

_BORDER = 12  # fixed points on the crop's border, which keep the background in place
REACH = 2.0  # distance of the border points from the crop's center, in half crops
FLOW_SIZE = 64  # side of the grid that the spline is evaluated on; a smooth flow can be interpolated
_STIFFNESS = 1e-3  # ridge on the bending part: landmarks that nearly coincide (closed lips) must not fold the plane
_MIN_POINT_WEIGHT = 1e-8  # a point of this weight has no influence on the spline
_MIN_SQUARED_DISTANCE = 1e-9  # added, so that the logarithm is finite
_CHUNK_POSITIONS = 512  # grid positions evaluated at once, so that the arrays stay in the CPU cache


def tps_interpolate(
    points: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray | None,
    grid: np.ndarray,
    reach: float = REACH,
    stiffness: float = _STIFFNESS,
) -> np.ndarray:
    """Returns the thin-plate spline through values at points, evaluated on a grid, [h, w, D].

    Args:
        points: [N, 2], -1 to 1.
        values: [N, D].
        weights: [N], 0 to 1. The smaller a weight, the less closely the spline meets the value. None is 1.
        grid: [h, w, 2], -1 to 1: all rows have the same x, all columns the same y.
        reach: distance from the crop's center of border points with the value 0, in half crops.
        stiffness: ridge on the bending part of a point of weight 1.
    """
    centers = np.concatenate([points, reach * _border_points(points.dtype)])
    n, known = len(centers), len(points)
    ridge = np.full(n, stiffness, points.dtype)
    if weights is not None:
        ridge[:known] /= np.maximum(weights, _MIN_POINT_WEIGHT)
    system, target = np.zeros((n + 3, n + 3), points.dtype), np.zeros((n + 3, values.shape[1]), points.dtype)
    system[:n, :n] = _kernel(centers, centers)
    system[np.arange(n), np.arange(n)] += ridge
    system[:n, n], system[n, :n] = 1, 1
    system[:n, n + 1 :], system[n + 1 :, :n] = centers, centers.T
    target[:known] = values
    solution = np.linalg.solve(system, target)
    # The squared distance is a sum of one term for the column and one for the row. The rows come in chunks that stay in
    # the cache: fetched from memory, these products take three times as long.
    lines = enumerate((grid[0, :, 0], grid[:, 0, 1]))
    across, down = (np.square(line[:, None] - centers[:, i]) + _MIN_SQUARED_DISTANCE for i, line in lines)
    step = max(_CHUNK_POSITIONS // len(across), 1)
    bent = np.empty((len(down) * len(across), values.shape[1]), points.dtype)
    for first in range(0, len(down), step):
        kernel = _radial(down[first : first + step, None] + across).reshape(-1, n)
        bent[first * len(across) :][: len(kernel)] = kernel @ solution[:n]
    plane = solution[n:]
    return bent.reshape(*grid.shape[:2], -1) + plane[0] + grid[..., :1] * plane[1] + grid[..., 1:] * plane[2]


def _border_points(kind: np.dtype) -> np.ndarray:
    """Returns points along the border of the crop, [_BORDER, 2], -1 to 1."""
    t = np.linspace(-1, 1, _BORDER // 4 + 1)[:-1]
    one = np.ones_like(t)
    return np.concatenate([np.stack(side, -1) for side in [(t, -one), (one, t), (-t, one), (-one, -t)]]).astype(kind)


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns U(r) = r^2 log r^2 for all pairs of points [N, 2] and [M, 2], [N, M]."""
    across, down = (np.square(a[:, None, i] - b[:, i]) for i in range(2))
    return _radial(across + down + _MIN_SQUARED_DISTANCE)


def _radial(squared: np.ndarray) -> np.ndarray:
    """Returns r^2 log r^2 of squared distances above 0."""
    return np.log(squared) * squared


def tps_flow(
    source: np.ndarray, driver: np.ndarray, size: int = FLOW_SIZE, reach: float = 1.0, stiffness: float = _STIFFNESS
) -> np.ndarray:
    """Returns the flow from the driver's points to the source's points.

    The flow is the spline f with f(driver_i) ~ source_i (Bookstein, eq. 10-12). Border points are added to the control
    points and do not move.

    Args:
        source: control points [N, 2], -1 to 1.
        driver: control points [N, 2], -1 to 1.
        size: side of the flow, grid positions.
        reach: distance of the border points from the crop's center, in half crops.
        stiffness: ridge on the bending part. The larger it is, the less closely the spline meets the points.

    Returns:
        float32 [1, size, size, 2], positions in the source, -1 to 1.
    """
    grid = grid_positions(size)
    # The displacement rather than the position is interpolated: zero motion then gives exactly zero flow.
    displacement = tps_interpolate(driver, source - driver, None, grid, reach, stiffness)
    return (grid + displacement.astype(np.float32))[None]


def tps_warp(image: np.ndarray, source_points: np.ndarray, driver_points: np.ndarray) -> np.ndarray:
    """Returns an image warped from source to driver control points, float32 [1, 3, S, S].

    Args:
        image: float32 [1, 3, S, S].
        source_points: [N, 2], pixels.
        driver_points: [N, 2], pixels.
    """
    size = image.shape[-1]
    flow = tps_flow(normalize_points(source_points, size), normalize_points(driver_points, size))
    return sample(image, resize_flow(flow, size))
