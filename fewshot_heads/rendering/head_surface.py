"""The head of a source image as a surface in space, which turns to any pose."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.imaging.opencv_maps import sample_map
from fewshot_heads.imaging.splatting import box_mean, splat
from fewshot_heads.imaging.splines import tps_interpolate
from fewshot_heads.imaging.warping import grid_positions, normalize_points
from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.control_points import warp_points
from fewshot_heads.landmarks.pose import HEAD_ANCHORS, Pose, change_of_pose, fit_pose, landmarks_3d
from fewshot_heads.rendering.depth import head_depth, surface_normals
from fewshot_heads.rendering.hanging import behind_neck, hanging_lengths
from fewshot_heads.rendering.head_parts import find_head_parts, seam_share
from fewshot_heads.rendering.symmetry import other_side, side_light

CELLS = 128  # side of the splatted map, for the crop, and of the grid of the surface's points
DEPTH_CELLS = 96  # side of the depth map, for the crop
_EXPRESSION_CELLS = 48  # of the grid on which the expression's spline is evaluated, for the side of the crop
_EXPRESSION_REACH_HEAD_UNITS = 0.35  # an expression moves the silhouette by less
SURFACE_THICKNESS_HEAD_UNITS = 0.1  # in one cell, points this far behind each other belong to one sheet
_BARE_COVERAGE, _FULL_COVERAGE = 0.3, 0.7
_MIN_COSINE = 0.15  # of the angle between a normal and the viewer, where it divides
FULL_DENSITY = 0.5  # points per cell of a closed surface: half of those at rest, so it may stretch to twice its area
_HALF_AT_REST_HEAD_UNITS = 0.5  # length of hanging hair of which the lower end moves by half as much as the head
_LEAST_EAR_HEAD_UNITS = 0.01  # squared: with less skin beside the face, no ear is seen
_FAR_HAIR_HEAD_UNITS = 1.5  # depth that hair behind the neck gains when the head turns by 90 degrees
_FRINGE_WEIGHT = 0.01  # of a transparent point, which counts only where no opaque one is


class Projection(NamedTuple):
    """A head's surface as a frame shows it, on a map of c x c cells.

    Attributes:
        flow: float32 [c, c, 2], positions in the source crop, -1 to 1.
        coverage: float32 [c, c], 0 to 1, where the surface is.
        opacity: float32 [c, c], 0 to 1, the coverage times the head's matte.
        sharpness: float32 [c, c], 0 to 1, pixels that the source image has of a place over those that the frame shows:
            the ratio of the cosines at which both see the surface. In the source's own pose it is 1.
        seen: float32 [c, c], 0 to 1, the same ratio for the image whose mirror image this surface is; else 0.
        skin: float32 [c, c], 0 to 1, face and ears.
        seam: float32 [c, c], 0 to 1, share of the opacity that belongs to the body: the soft seam under a jaw.
    """

    flow: np.ndarray
    coverage: np.ndarray
    opacity: np.ndarray
    sharpness: np.ndarray
    seen: np.ndarray
    skin: np.ndarray
    seam: np.ndarray


class HeadSurface:
    """A head's surface from one source image, computed once.

    Args:
        face: landmarks of the image, pixels of the crop.
        head: uint8 [R, R, 4], RGB and alpha of the head in the crop.
        size: side of the crop, pixels.
        body: uint8 [R, R], alpha of the body in the crop. None, if it is not known, is a body everywhere.
        is_mirror_image: whether the image is the mirror image of one that a camera took.

    Attributes:
        light: float32 [g, g, 3], factor of the colors in the crop: `symmetry.side_light` of a mirror image.
    """

    def __init__(
        self,
        face: Landmarks,
        head: np.ndarray,
        size: int,
        body: np.ndarray | None = None,
        is_mirror_image: bool = False,
    ):
        self.face, self.size, self.pose = face, size, fit_pose(face)
        self.canonical, self.warp_points = CanonicalFace.of(face).shape, warp_points(face)
        scale = size / DEPTH_CELLS  # pixels per cell
        layer = cv2.resize(head, (DEPTH_CELLS, DEPTH_CELLS), interpolation=cv2.INTER_AREA)
        matte, small_face = layer[..., 3].astype(np.float32) / 255, face.moved(np.zeros(2, np.float32), 1 / scale)
        parts = find_head_parts(layer, small_face)
        small_depth = head_depth(small_face, matte, parts.ears)
        depth, normals = scale * small_depth, surface_normals(small_depth)
        skin = parts.face | parts.ears | parts.forehead
        seen, self.light = np.zeros_like(depth), np.ones((1, 1, 3), np.float32)
        if is_mirror_image:
            seen, matte = other_side(small_depth, normals, matte, parts.face | parts.ears, small_face)
            self.light = side_light(layer[..., :3], small_depth, seen, skin, fit_pose(small_face))
        solid = cv2.GaussianBlur(cv2.dilate((matte > 0.05).astype(np.float32), np.ones((5, 5))), (0, 0), 0.5)
        wide_skin = cv2.dilate(skin.astype(np.float32), np.ones((3, 3)))
        if body is None:
            body = np.full((DEPTH_CELLS, DEPTH_CELLS), 255, np.uint8)
        on_body = cv2.resize(body, (DEPTH_CELLS, DEPTH_CELLS), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        seam = seam_share(matte, parts.face, small_face) * on_body  # hair beside the neck is no seam
        self._shape, self._normals, self._parts = (
            np.ascontiguousarray(np.dstack(maps), np.float32)
            for maps in ([depth, solid, matte], [normals], [matte, seen, wide_skin, seam])
        )
        self._positions = _grid_near(head[..., 3], _EXPRESSION_REACH_HEAD_UNITS * self.pose.scale / size)
        self._expression_grid, self._in_grid = _grid_around(self._positions)
        self._pixels = (self._positions + 1) * np.float32(size / 2)
        self._hanging = hanging_lengths(self._pixels, face, size)
        head_here, body_here = (sample_map(x[..., None], self._positions[None])[0, :, 0] for x in (matte, on_body))
        self._behind_neck = behind_neck(self._pixels, head_here, body_here, face, size)
        # Loose hair covers the ears, and hangs beside the face.
        self._behind_neck *= parts.ears.sum() > _LEAST_EAR_HEAD_UNITS * fit_pose(small_face).scale ** 2

    def project(self, target: Landmarks) -> Projection:
        """Returns the surface with the pose and the expression of a face.

        Args:
            target: landmarks of the frame, pixels of the crop.
        """
        target_pose = fit_pose(target)
        change = self._expression(target)  # [N, 3]
        flow = self._positions + change[:, :2]
        depth, solid, opacity = sample_map(self._shape, flow[None])[0].T
        weights = (solid > 0.5) * np.maximum(opacity**2, _FRINGE_WEIGHT)
        kept = np.flatnonzero(weights)
        # Of a head that turns, the far hair beside the neck comes to lie behind it.
        away = (target_pose.rotation @ self.pose.rotation.T)[2].astype(np.float32)
        behind = np.maximum(away[0] * self._behind_neck[kept], 0) * np.float32(_FAR_HAIR_HEAD_UNITS * self.pose.scale)
        surface = np.column_stack([self._pixels[kept], depth[kept] + change[kept, 2] + behind])
        points = self._moved(surface, self._hanging[kept], target_pose)
        # The displacement is splatted rather than the position: without motion, the flow is then exact.
        tolerance = SURFACE_THICKNESS_HEAD_UNITS * target_pose.scale
        result = splat(points, flow[kept] - points[:, :2], weights[kept], CELLS, tolerance, FULL_DENSITY)
        source_flow = grid_positions(CELLS) + result.values
        coverage = smooth_coverage(result.coverage)
        normals = sample_map(self._normals, source_flow)
        opacity, seen, skin, seam = cv2.split(sample_map(self._parts, source_flow))
        needed = np.maximum(cv2.transform(normals, -away[None]), _MIN_COSINE)
        sharpness = (-normals[..., 2] / needed).clip(0, 1)
        seen = (seen / needed).clip(0, 1)
        return Projection(source_flow, coverage, coverage * opacity, sharpness, seen, skin, seam)

    def _expression(self, target: Landmarks) -> np.ndarray:
        """Returns how the target's expression displaces each grid position, float32 [N, 3].

        The expression is seen in the source's pose, where it is small. x and y lead to the source, in half crops. The
        depth, in pixels, leads away from it.
        """
        canonical = CanonicalFace.of(target).shape
        count = min(len(canonical), len(self.canonical))
        expressed = Landmarks.from_array(self.pose.apply(canonical[:count]))
        centers = warp_points(expressed, self.pose)
        weights = np.minimum.reduce([centers[:, 2], self.warp_points[:, 2], warp_points(target)[:, 2]])
        depth_change = np.zeros(len(centers))
        change = expressed.to_array()[:, 2] - landmarks_3d(self.face)[:count, 2]
        depth_change[:N_POINTS] = change[:N_POINTS]
        depth_change[N_POINTS + len(HEAD_ANCHORS) :][: count - N_POINTS] = change[N_POINTS:]
        flat = normalize_points(centers[:, :2], self.size)
        values = np.column_stack([normalize_points(self.warp_points[:, :2], self.size) - flat, depth_change])
        spline = tps_interpolate(
            flat.astype(np.float32), values.astype(np.float32), weights.astype(np.float32), self._expression_grid
        )
        return sample_map(spline, self._in_grid[None], "border")[0]

    def _moved(self, points: np.ndarray, hanging: np.ndarray, target: Pose) -> np.ndarray:
        """Returns points in the target's pose, float32 [N, 3]; x and y from -1 to 1, depth in pixels.

        What hangs keeps its direction, and the longer it is, the more it stays on the shoulders.

        Args:
            points: float32 [N, 3], pixels.
            hanging: float32 [N], pixels, `hanging_lengths`.
            target: pose of the head.
        """
        hung = points.copy()
        hung[:, 1] -= hanging
        moved = transformed(hung, *change_of_pose(self.pose, target))
        moved[:, 1] += hanging
        rest = hanging / (hanging + np.float32(_HALF_AT_REST_HEAD_UNITS * self.pose.scale))
        moved[:, :2] += rest[:, None] * (points - moved)[:, :2]
        moved[:, :2] = normalize_points(moved[:, :2], self.size)
        return moved


def transformed(points: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Returns points [N, 3] after an affine map, float32 [N, 3].

    Args:
        points: float32 [N, 3].
        matrix: [3, 3].
        offset: [3].
    """
    if not len(points):
        return points
    # numpy's product uses threads, which occupy the cores of other frames.
    return cv2.transform(points.reshape(-1, 1, 3), np.column_stack([matrix, offset])).reshape(-1, 3)


def smooth_coverage(coverage: np.ndarray) -> np.ndarray:
    """Returns how much of each cell a splatted surface covers, with smooth edges, [c, c], 0 to 1.

    Args:
        coverage: [c, c], of `splat`.
    """
    return ((box_mean(box_mean(coverage)) - _BARE_COVERAGE) / (_FULL_COVERAGE - _BARE_COVERAGE)).clip(0, 1)


def _grid_near(matte: np.ndarray, reach: float) -> np.ndarray:
    """Returns the grid positions of a head and of its surroundings, float32 [N, 2], -1 to 1.

    Args:
        matte: uint8 [R, R].
        reach: width of the surroundings, crops.
    """
    width = 2 * round(reach * CELLS) + 1
    head = (cv2.resize(matte, (CELLS, CELLS), interpolation=cv2.INTER_AREA) > 0.02 * 255).astype(np.uint8)
    y, x = np.nonzero(cv2.dilate(head, np.ones((width, width), np.uint8)))
    return ((np.stack([x, y], 1) + 0.5) * (2 / CELLS) - 1).astype(np.float32)


def _grid_around(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a coarser grid that spans positions, [h, w, 2], and the positions in it, [N, 2]; float32, -1 to 1.

    Args:
        positions: float32 [N, 2], -1 to 1 over the crop.
    """
    low, high = positions.min(0), positions.max(0)
    center, half = (low + high) / 2, np.maximum((high - low) / 2, 1 / _EXPRESSION_CELLS)
    x, y = (
        c + h * ((np.arange(cells) + 0.5) * (2 / cells) - 1)
        for c, h, cells in zip(center, half, np.ceil(half * _EXPRESSION_CELLS).astype(int), strict=True)
    )
    grid = np.stack(np.meshgrid(x, y), -1).astype(np.float32)
    return grid, ((positions - center) / half).astype(np.float32)
