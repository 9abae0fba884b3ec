"""The head of a source image as a surface in space, which turns to any pose."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from fewshot_heads.imaging.splatting import box_mean, splat
from fewshot_heads.imaging.warping import identity_grid, normalize_points, sample, tps_interpolate
from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.control_points import warp_points
from fewshot_heads.landmarks.pose import HEAD_ANCHORS, Pose, change_of_pose, fit_pose, landmarks_3d
from fewshot_heads.rendering.depth import head_depth, surface_normals
from fewshot_heads.rendering.ears_and_hair import find_ears_and_hair
from fewshot_heads.rendering.hanging import hanging_lengths

CELLS = 128  # side of the splatted map, for the crop, and of the grid of the surface's points
DEPTH_CELLS = 96  # side of the depth map, for the crop
_EXPRESSION_CELLS = 48  # of the grid on which the expression's spline is evaluated, for the side of the crop
_EXPRESSION_REACH_HEAD_UNITS = 0.35  # an expression moves the silhouette by less
SURFACE_THICKNESS_HEAD_UNITS = 0.1  # in one cell, points this far behind each other belong to one sheet
_BARE_COVERAGE, _FULL_COVERAGE = 0.3, 0.7
_MIN_COSINE = 0.15  # of the angle between a normal and the viewer, where it divides
FULL_DENSITY = 0.5  # points per cell of a closed surface: half of those at rest, so it may stretch to twice its area
_HALF_AT_REST_HEAD_UNITS = 0.5  # length of hanging hair of which the lower end moves by half as much as the head
_FRINGE_WEIGHT = 0.01  # of a transparent point, which counts only where no opaque one is


class Projection(NamedTuple):
    """A head's surface as a frame shows it, on a map of c x c cells.

    Attributes:
        flow: [1, c, c, 2], positions in the source crop, -1 to 1.
        coverage: [1, 1, c, c], 0 to 1, where the surface is.
        opacity: [1, 1, c, c], 0 to 1, the coverage times the head's matte.
        sharpness: [1, 1, c, c], 0 to 1, pixels that the source image has of a place over those that the frame shows:
            the ratio of the cosines at which both see the surface. In the source's own pose it is 1.
        seen: [1, 1, c, c], 0 to 1, the same ratio for the image whose mirror image this surface is; else 0.
        skin: [1, 1, c, c], 0 to 1, face and ears.
    """

    flow: Tensor
    coverage: Tensor
    opacity: Tensor
    sharpness: Tensor
    seen: Tensor
    skin: Tensor


class HeadSurface:
    """A head's surface from one source image, computed once.

    Args:
        face: landmarks of the image, pixels of the crop.
        head: uint8 [R, R, 4], RGB and alpha of the head in the crop.
        size: side of the crop, pixels.
        original: pose of the image whose mirror image this is. None for an image that a camera took.
    """

    def __init__(self, face: Landmarks, head: np.ndarray, size: int, original: Pose | None = None):
        self.face, self.size, self.pose = face, size, fit_pose(face)
        self.canonical, self.warp_points = CanonicalFace.of(face).shape, warp_points(face)
        scale = size / DEPTH_CELLS  # pixels per cell
        layer = cv2.resize(head, (DEPTH_CELLS, DEPTH_CELLS), interpolation=cv2.INTER_AREA)
        matte, small_face = layer[..., 3].astype(np.float32) / 255, face.moved(np.zeros(2, np.float32), 1 / scale)
        parts = find_ears_and_hair(layer, small_face)
        depth = scale * head_depth(small_face, matte, parts.ears)
        normals = surface_normals(depth / scale)
        seen = np.zeros_like(depth)
        if original is not None:
            turned = normals @ (original.rotation @ self.pose.rotation.T).T
            seen = (-turned[..., 2]).clip(0)
        solid = cv2.GaussianBlur(cv2.dilate((matte > 0.05).astype(np.float32), np.ones((5, 5))), (0, 0), 0.5)
        skin = cv2.dilate((parts.face | parts.ears).astype(np.float32), np.ones((3, 3)))
        self._shape, self._normals, self._parts = (
            torch.from_numpy(np.ascontiguousarray(maps, np.float32)).permute(2, 0, 1)[None]
            for maps in (np.dstack([depth, solid, matte]), normals, np.dstack([matte, seen, skin]))
        )  # channels last in memory, as `sample` takes them
        self._positions = _grid_near(head[..., 3], _EXPRESSION_REACH_HEAD_UNITS * self.pose.scale / size)
        self._expression_grid, self._in_grid = _grid_around(self._positions)
        pixels = (self._positions + 1) * (size / 2)
        self._hanging = torch.from_numpy(hanging_lengths(pixels.numpy(), face, size))

    def project(self, target: Landmarks) -> Projection:
        """Returns the surface with the pose and the expression of a face.

        Args:
            target: landmarks of the frame, pixels of the crop.
        """
        target_pose = fit_pose(target)
        change = self._expression(target)  # [N, 3]
        flow = self._positions + change[:, :2]
        depth, solid, opacity = sample(self._shape, flow[None, None], "zeros")[0, :, 0]
        surface = torch.cat([(self._positions + 1) * (self.size / 2), (depth + change[:, 2])[:, None]], 1)
        weights = (solid > 0.5) * (opacity**2).clamp_min(_FRINGE_WEIGHT)
        kept = weights.nonzero()[:, 0]
        points = self._moved(surface[kept], self._hanging[kept], target_pose)
        # The displacement is splatted rather than the position: without motion, the flow is then exact.
        tolerance = SURFACE_THICKNESS_HEAD_UNITS * target_pose.scale
        result = splat(points, flow[kept] - points[:, :2], weights[kept], CELLS, tolerance, FULL_DENSITY)
        source_flow = identity_grid(CELLS, points) + result.values[None]
        coverage = smooth_coverage(result.coverage)[None, None]
        normals = sample(self._normals, source_flow, "zeros")
        opacity, seen, skin = sample(self._parts, source_flow, "zeros").split(1, 1)
        to_viewer = torch.from_numpy(-(target_pose.rotation @ self.pose.rotation.T)[2]).float()
        needed = torch.einsum("c,bchw->bhw", to_viewer, normals)[:, None].clamp_min(_MIN_COSINE)
        sharpness = (-normals[:, 2:] / needed).clamp(0, 1)
        return Projection(source_flow, coverage, coverage * opacity, sharpness, (seen / needed).clamp(0, 1), skin)

    def _expression(self, target: Landmarks) -> Tensor:
        """Returns how the target's expression displaces each grid position, [N, 3].

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
        flat = torch.from_numpy(centers[:, :2])
        values = torch.from_numpy(np.column_stack([self.warp_points[:, :2] - centers[:, :2], depth_change]))
        values = values.float() * torch.tensor([2 / self.size, 2 / self.size, 1])
        spline = tps_interpolate(
            normalize_points(flat, self.size)[None], values[None], torch.from_numpy(weights)[None],
            self._expression_grid,
        )  # fmt: skip
        return sample(spline.permute(0, 3, 1, 2), self._in_grid[None, None], "border")[0, :, 0].T

    def _moved(self, points: Tensor, hanging: Tensor, target: Pose) -> Tensor:
        """Returns points [N, 3] (pixels) in the target's pose; x and y from -1 to 1, depth in pixels.

        What hangs keeps its direction, and the longer it is, the more it stays on the shoulders.

        Args:
            points: [N, 3], pixels.
            hanging: [N], pixels, `hanging_lengths`.
            target: pose of the head.
        """
        matrix, offset = (torch.from_numpy(part).float() for part in change_of_pose(self.pose, target))
        hung = torch.zeros_like(points)
        hung[:, 1] = hanging
        moved = (points - hung) @ matrix.T + offset + hung
        rest = (hanging / (hanging + _HALF_AT_REST_HEAD_UNITS * self.pose.scale))[:, None]
        flat = moved[:, :2] + rest * (points - moved)[:, :2]
        return torch.cat([normalize_points(flat, self.size), moved[:, 2:]], 1)


def smooth_coverage(coverage: Tensor) -> Tensor:
    """Returns how much of each cell a splatted surface covers, with smooth edges, [c, c], 0 to 1.

    Args:
        coverage: [c, c], of `splat`.
    """
    smooth = box_mean(box_mean(coverage[None]))[0]
    return ((smooth - _BARE_COVERAGE) / (_FULL_COVERAGE - _BARE_COVERAGE)).clamp(0, 1)


def _grid_near(matte: np.ndarray, reach: float) -> Tensor:
    """Returns the grid positions of a head and of its surroundings, [N, 2], -1 to 1.

    Args:
        matte: uint8 [R, R].
        reach: width of the surroundings, crops.
    """
    width = 2 * round(reach * CELLS) + 1
    head = (cv2.resize(matte, (CELLS, CELLS), interpolation=cv2.INTER_AREA) > 0.02 * 255).astype(np.uint8)
    y, x = np.nonzero(cv2.dilate(head, np.ones((width, width), np.uint8)))
    return torch.from_numpy((np.stack([x, y], 1) + 0.5) * (2 / CELLS) - 1).float()


def _grid_around(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Returns a coarser grid that spans positions, [1, h, w, 2], and the positions in it, [N, 2], both -1 to 1.

    Args:
        positions: [N, 2], -1 to 1 over the crop.
    """
    low, high = positions.amin(0), positions.amax(0)
    center, half = (low + high) / 2, ((high - low) / 2).clamp_min(1 / _EXPRESSION_CELLS)
    lines = [
        c + h * ((torch.arange(cells) + 0.5) * (2 / cells) - 1)
        for c, h, cells in zip(center, half, (half * _EXPRESSION_CELLS).ceil().int().tolist(), strict=True)
    ]
    y, x = torch.meshgrid(lines[1], lines[0], indexing="ij")
    return torch.stack([x, y], -1)[None], (positions - center) / half
