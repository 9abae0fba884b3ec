"""Depth of a head: measured in the face, inflated from the silhouette around it."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import JAW, N_POINTS, Landmarks
from fewshot_heads.landmarks.pose import Pose, fit_pose, landmarks_3d, surface_visibility
from fewshot_heads.landmarks.triangulation import locate
from fewshot_heads.rendering.symmetry import into_silhouette

TEMPLES = [0, 16]
_RIM_BEHIND_TEMPLES_HEAD_UNITS = 0.35  # depth of the silhouette's plane: behind the ears
# Negative Laplacian of the squared depth, per squared pixel. A sphere has 4; the face's own depth inflates the rest.
_CURVATURE = 1.8
_BACK_CURVATURE = 4.5  # a head reaches about as far behind the ears as it is wide to a side
_MIN_MATTE = 0.3
_MAX_BACK_SLOPE = 4.0  # of the back, which has four times as many points
_MAX_SLOPE = 1.7  # depth per pixel: a steeper surface has too few points when it turns to the viewer
_SLOPE_PASSES = 16  # pixels over which the slope is limited
_EAR_SLOPE = 1.3  # an ear leans back from the temple by so much for its distance from the head
_MIN_EAR_COSINE = 0.3  # between the normal of an ear and the viewer, where it divides
_SMOOTHING_PIXELS = 0.8  # standard deviation; linear interpolation between landmarks leaves creases
_LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float64)  # negative
_MAX_RESIDUAL = 1e-8  # of the Poisson equation, over that of the first guess


def head_depth(face: Landmarks, matte: np.ndarray, ears: np.ndarray | None = None) -> np.ndarray:
    """Returns the depth of a head's surface, float32 [g, g], pixels of the map, larger is farther away.

    In the face, the depth is interpolated between the landmarks that face the viewer. Ears are planes beside the
    temples. Around both, the squared depth in front of the silhouette's plane solves a Poisson equation with 0 at the
    silhouette. A disk becomes an ellipsoid. Any slope is limited, so the silhouette lies as far back as its
    surroundings permit. Hair is moved back or forward until its mirror image is within the silhouette too.

    Args:
        face: landmarks, pixels of the map.
        matte: float32 [g, g], 0 to 1, the head.
        ears: bool [g, g]. None is a head without visible ears.
    """
    points, size = landmarks_3d(face), len(matte)
    silhouette = points[TEMPLES, 2].mean() + _RIM_BEHIND_TEMPLES_HEAD_UNITS * fit_pose(face).scale
    shown = points[_facing_viewer(face, points)]
    y, x = np.mgrid[:size, :size] + 0.5
    cells = np.dstack([x, y])
    near = ((cells > shown[:, :2].min(0)) & (cells < shown[:, :2].max(0))).all(2)
    corners, shares, inside = locate(shown[:, :2], cells[near])
    measured, in_face = np.zeros_like(x), np.zeros_like(near)
    measured[near], in_face[near] = (shown[corners, 2] * shares).sum(1), inside
    if ears is not None:
        own = ears & ~in_face
        measured[own] = _ear_depth(points, fit_pose(face), np.stack([x[own], y[own]], 1))
        in_face |= own
    squared = np.where(in_face, np.maximum(silhouette - measured, 0) ** 2, 0.0)
    unknown = (matte > _MIN_MATTE) & ~in_face
    squared[unknown] = _solve_poisson(squared, unknown)
    depth = (silhouette - np.sqrt(np.maximum(squared, 0))).astype(np.float32)
    depth += into_silhouette(depth, matte, fit_pose(face)) * unknown
    depth = _limit_slope(depth)
    return cv2.GaussianBlur(depth, (0, 0), _SMOOTHING_PIXELS)


def inflate(inside: np.ndarray) -> np.ndarray:
    """Returns the thickness of a flat shape that is inflated to one side, float32 [g, g], pixels of the map.

    A disk becomes half an ellipsoid, which is thicker than a hemisphere.

    Args:
        inside: bool [g, g].
    """
    squared = np.zeros(inside.shape)
    squared[inside] = _solve_poisson(squared, inside, _BACK_CURVATURE)
    return _limit_slope(np.sqrt(np.maximum(squared, 0)).astype(np.float32), _MAX_BACK_SLOPE)


def _ear_depth(points: np.ndarray, pose: Pose, pixels: np.ndarray) -> np.ndarray:
    """Returns the depth of ears at pixels [N, 2], [N].

    Args:
        points: [70 or 221, 3], landmarks, pixels.
        pose: pose of the head.
        pixels: [N, 2].
    """
    temples = points[TEMPLES]
    normals = np.array([[-_EAR_SLOPE, 0, -1], [_EAR_SLOPE, 0, -1]]) @ pose.rotation.T
    offsets = pixels[:, None] - temples[:, :2]  # [N, 2, 2]
    side = np.linalg.norm(offsets, axis=2).argmin(1)
    normal, offset = normals[side], offsets[np.arange(len(pixels)), side]
    return temples[side, 2] + (normal[:, :2] * offset).sum(1) / np.maximum(-normal[:, 2], _MIN_EAR_COSINE)


def _facing_viewer(face: Landmarks, points: np.ndarray) -> np.ndarray:
    """Returns which points do not face away, bool [N]. A jaw point is as visible as the nearest point of the skin."""
    facing = np.ones(len(points), bool)
    if not face.has_surface:
        facing[JAW] = False
        return facing
    facing[N_POINTS:] = surface_visibility(face) > 0
    nearest = ((points[JAW, None] - points[N_POINTS:]) ** 2).sum(-1).argmin(1)
    facing[JAW] = facing[N_POINTS + nearest]
    return facing


def _solve_poisson(values: np.ndarray, unknown: np.ndarray, curvature: float = _CURVATURE) -> np.ndarray:
    """Returns the unknown values [M] of a map with a constant Laplacian, by conjugate gradients.

    Args:
        values: [g, g], the boundary values where not unknown. Beyond the map they are 0.
        unknown: bool [g, g].
        curvature: the negative Laplacian.
    """

    def negative_laplacian(maps: np.ndarray) -> np.ndarray:
        return cv2.filter2D(maps, -1, _LAPLACIAN, borderType=cv2.BORDER_CONSTANT) * unknown

    solution = np.zeros(unknown.shape)
    residual = curvature * unknown - negative_laplacian(np.where(unknown, 0, values))
    direction, square = residual, float((residual * residual).sum())
    least = _MAX_RESIDUAL**2 * square
    while square > least:
        change = negative_laplacian(direction)
        step = square / float((direction * change).sum())
        solution += step * direction
        residual = residual - step * change
        square, before = float((residual * residual).sum()), square
        direction = residual + square / before * direction
    return solution[unknown]


def _limit_slope(depth: np.ndarray, slope: float = _MAX_SLOPE) -> np.ndarray:
    """Returns the depth [g, g], brought forward where it falls off by more than a slope, depth per pixel."""
    for _ in range(_SLOPE_PASSES):
        around = np.pad(depth, 1, mode="edge")
        straight = np.minimum.reduce([around[1:-1, 2:], around[1:-1, :-2], around[2:, 1:-1], around[:-2, 1:-1]])
        diagonal = np.minimum.reduce([around[2:, 2:], around[2:, :-2], around[:-2, 2:], around[:-2, :-2]])
        forward = np.minimum(straight + np.float32(slope), diagonal + np.float32(slope * 2**0.5))
        depth = np.minimum(depth, forward)
    return depth


def surface_normals(depth: np.ndarray) -> np.ndarray:
    """Returns unit normals [g, g, 3] of a depth map [g, g] in pixels of the map, toward the viewer."""
    dx, dy = (cv2.Sobel(depth, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    normals = np.dstack([dx, dy, -np.ones_like(dx)])
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)
