"""The head of a source image as a surface in space, which turns to any pose.

A surface has two sheets that meet at the silhouette. The front is what the image shows, at its depth. The back is its
reflection at the silhouette's depth, with the hair just inside the silhouette, so a turned head does not end there.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging.splatting import box_mean, splat
from fewshot_heads.imaging.warping import identity_grid, normalize_points, tps_interpolate
from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.control_points import warp_points
from fewshot_heads.landmarks.pose import HEAD_ANCHORS, LOBES, Pose, fit_pose, landmarks_3d
from fewshot_heads.rendering.depth import head_depth, surface_normals
from fewshot_heads.rendering.hanging import hanging_lengths

CELLS = 128  # side of the splatted map, for the crop, and of the grid of the surface's points
_DEPTH_CELLS = 96  # side of the depth map, for the crop
_EXPRESSION_CELLS = 48  # side of the grid on which the expression's spline is evaluated
_EXPRESSION_REACH_HEAD_UNITS = 0.35  # an expression moves the silhouette by less
_MAX_FRINGE_CELLS = 6  # of the depth map: width of a silhouette's fringe, and of its reflection
_OPAQUE = 0.9
_MAX_BACK_DEPTH_HEAD_UNITS = 0.3  # thickness of the front up to which it has a back: the face itself has none
_SURFACE_THICKNESS_HEAD_UNITS = 0.1  # in one cell, points this far behind each other belong to one sheet
_BARE_COVERAGE, _FULL_COVERAGE = 0.3, 0.7
_MIN_COSINE = 0.15  # of the angle between a normal and the viewer, where it divides
_FULL_STRETCH_COSINE = 0.3  # gain of the cosine at which a fringe is replaced completely
_FULL_DENSITY = 0.5  # points per cell of a closed surface: half of those at rest, so it may stretch to twice its area
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
    """

    flow: Tensor
    coverage: Tensor
    opacity: Tensor
    sharpness: Tensor
    seen: Tensor


class HeadSurface:
    """A head's surface from one source image, computed once.

    Args:
        face: landmarks of the image, pixels of the crop.
        matte: float32 [M, M], 0 to 1, the head in the crop.
        size: side of the crop, pixels.
        original: pose of the image whose mirror image this is. None for an image that a camera took.
    """

    def __init__(self, face: Landmarks, matte: np.ndarray, size: int, original: Pose | None = None):
        self.face, self.size, self.pose = face, size, fit_pose(face)
        self.canonical, self.warp_points = CanonicalFace.of(face).shape, warp_points(face)
        scale = size / _DEPTH_CELLS  # pixels per cell
        small = cv2.resize(matte, (_DEPTH_CELLS, _DEPTH_CELLS), interpolation=cv2.INTER_AREA)
        depth = scale * head_depth(face.moved(np.zeros(2, np.float32), 1 / scale), small)
        normals = surface_normals(depth / scale)
        seen = np.zeros_like(depth)
        if original is not None:
            turned = normals @ (original.rotation @ self.pose.rotation.T).T
            seen = (-turned[..., 2]).clip(0)
        solid = cv2.GaussianBlur(cv2.dilate((small > 0.05).astype(np.float32), np.ones((5, 5))), (0, 0), 0.5)
        thickness = _silhouette_depth(depth, small) - depth
        maps = [
            np.stack([depth, solid, small, thickness]),
            _offset_inward(small),
            normals.transpose(2, 0, 1),
            seen[None],
        ]
        self._maps = torch.from_numpy(np.concatenate(maps).astype(np.float32))[None]
        self._positions = _grid_near(matte, _EXPRESSION_REACH_HEAD_UNITS * self.pose.scale / size)
        down = torch.from_numpy(self.pose.rotation[:2, 1]).float()
        lobes = torch.from_numpy(self.pose.apply(LOBES)[0, :2]).float()
        pixels = (self._positions + 1) * (size / 2)
        self._above_jaw = (pixels - lobes) @ down < 0
        self._hanging = torch.from_numpy(hanging_lengths(pixels.numpy(), face, size))

    def project(self, target: Landmarks) -> Projection:
        """Returns the surface with the pose and the expression of a face.

        Args:
            target: landmarks of the frame, pixels of the crop.
        """
        target_pose = fit_pose(target)
        change = self._expression(target)  # [N, 3]
        flow = self._positions + change[:, :2]
        maps = self._sample(flow)
        (depth, solid, _, thickness), inward, normals = maps[:, :4].unbind(1), maps[:, 4:6], maps[:, 6:9]
        front = torch.cat([(self._positions + 1) * (self.size / 2), (depth + change[:, 2])[:, None]], 1)
        back = front + torch.stack([torch.zeros_like(depth)] * 2 + [2 * thickness], 1)
        to_viewer = torch.from_numpy(-(target_pose.rotation @ self.pose.rotation.T)[2]).float()
        # A frame that shows the silhouette's fringe more squarely than the image takes pixels just inside of it.
        stretched = ((normals @ to_viewer + normals[:, 2]) / _FULL_STRETCH_COSINE).clamp(0, 1)
        front_flow, back_flow = flow + stretched[:, None] * inward, flow + inward
        opacity = self._sample(front_flow)[:, 2]
        front_weight = (solid > 0.5) * (opacity**2).clamp_min(_FRINGE_WEIGHT)
        has_back = self._above_jaw & (opacity > _OPAQUE) & (thickness > 0)
        has_back &= thickness < _MAX_BACK_DEPTH_HEAD_UNITS * self.pose.scale
        is_back = torch.cat([torch.zeros_like(depth), torch.ones_like(depth)])[:, None]
        weights = torch.cat([front_weight, has_back.float()])
        kept = weights.nonzero()[:, 0]
        points = self._moved(torch.cat([front, back])[kept], self._hanging.repeat(2)[kept], target_pose)
        # The displacement is splatted rather than the position: without motion, the flow is then exact.
        displacement = torch.cat([front_flow, back_flow])[kept] - points[:, :2]
        values = torch.cat([displacement, is_back[kept]], 1)
        tolerance = _SURFACE_THICKNESS_HEAD_UNITS * target_pose.scale
        result = splat(points, values, weights[kept], CELLS, tolerance, _FULL_DENSITY)
        source_flow = identity_grid(CELLS, points) + result.values[None, ..., :2]
        coverage = box_mean(box_mean(result.coverage[None]))[None]
        coverage = ((coverage - _BARE_COVERAGE) / (_FULL_COVERAGE - _BARE_COVERAGE)).clamp(0, 1)
        maps = F.grid_sample(self._maps[:, [2, 6, 7, 8, 9]], source_flow, align_corners=False)
        opacity, normals, seen = maps.split([1, 3, 1], 1)
        needed = torch.einsum("c,bchw->bhw", to_viewer, normals)[:, None].clamp_min(_MIN_COSINE)
        front_share = 1 - result.values[None, None, ..., 2].clamp(0, 1)
        sharpness = (-normals[:, 2:] / needed).clamp(0, 1) * front_share
        return Projection(source_flow, coverage, coverage * opacity, sharpness, (seen / needed).clamp(0, 1))

    def _sample(self, flow: Tensor) -> Tensor:
        """Returns the maps at positions [N, 2], [N, 10]."""
        return F.grid_sample(self._maps, flow[None, None], align_corners=False)[0, :, 0].T

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
            normalize_points(flat, self.size)[None], values[None], torch.from_numpy(weights)[None], _EXPRESSION_CELLS
        )
        maps, positions = spline.permute(0, 3, 1, 2), self._positions[None, None]
        return F.grid_sample(maps, positions, align_corners=False, padding_mode="border")[0, :, 0].T

    def _moved(self, points: Tensor, hanging: Tensor, target: Pose) -> Tensor:
        """Returns points [N, 3] (pixels) in the target's pose; x and y from -1 to 1, depth in pixels.

        What hangs keeps its direction, and the longer it is, the more it stays on the shoulders.

        Args:
            points: [N, 3], pixels.
            hanging: [N], pixels, `hanging_lengths`.
            target: pose of the head.
        """
        rotation = target.scale / self.pose.scale * target.rotation @ self.pose.rotation.T
        offset = target.translation - rotation @ self.pose.translation
        hung = torch.zeros_like(points)
        hung[:, 1] = hanging
        moved = (points - hung) @ torch.from_numpy(rotation.T).float() + torch.from_numpy(offset).float() + hung
        rest = (hanging / (hanging + _HALF_AT_REST_HEAD_UNITS * self.pose.scale))[:, None]
        flat = moved[:, :2] + rest * (points - moved)[:, :2]
        return torch.cat([normalize_points(flat, self.size), moved[:, 2:]], 1)


def _silhouette_depth(depth: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Returns the depth of the nearest place outside the head, [g, g]."""
    outside = (matte < 0.5).astype(np.uint8)
    y, x = _nearest(outside)
    return cv2.GaussianBlur(depth[y, x], (0, 0), 3.0)


def _offset_inward(matte: np.ndarray) -> np.ndarray:
    """Returns the offset from a silhouette's fringe to opaque pixels, [2, g, g], half crops.

    The fringe is reflected at the border of the opaque pixels.
    """
    size = len(matte)
    y, x = _nearest((matte > _OPAQUE).astype(np.uint8))
    rows, columns = np.mgrid[:size, :size]
    offset = 2 * np.stack([x - columns, y - rows]).astype(np.float32)
    length = np.linalg.norm(offset, axis=0)
    offset *= np.minimum(1, _MAX_FRINGE_CELLS / np.maximum(length, 1e-6))
    return np.stack([cv2.GaussianBlur(part, (0, 0), 0.7) for part in offset]) * (2 / size)


def _nearest(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns row and column of the nearest pixel of a mask uint8 [g, g], each [g, g]; of itself in an empty mask."""
    if not mask.any():
        rows, columns = np.mgrid[: len(mask), : len(mask)]
        return rows, columns
    _, labels = cv2.distanceTransformWithLabels(1 - mask, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(mask)
    position = np.zeros((labels.max() + 1, 2), int)
    position[labels[rows, columns]] = np.stack([rows, columns], 1)
    return position[labels, 0], position[labels, 1]


def _grid_near(matte: np.ndarray, reach: float) -> Tensor:
    """Returns the grid positions of a head and of its surroundings, [N, 2], -1 to 1.

    Args:
        matte: float32 [M, M], 0 to 1.
        reach: width of the surroundings, crops.
    """
    width = 2 * round(reach * CELLS) + 1
    head = (cv2.resize(matte, (CELLS, CELLS), interpolation=cv2.INTER_AREA) > 0.02).astype(np.uint8)
    y, x = np.nonzero(cv2.dilate(head, np.ones((width, width), np.uint8)))
    return torch.from_numpy((np.stack([x, y], 1) + 0.5) * (2 / CELLS) - 1).float()
