"""The back of a head, which no image shows: a skull behind the silhouette, painted with the hair above the ears."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.imaging.convert import to_float
from fewshot_heads.imaging.opencv_maps import sample_map
from fewshot_heads.imaging.splatting import splat
from fewshot_heads.imaging.warping import grid_positions, normalize_points, resize, resize_flow, sample
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import NECK_TOP, Pose, below_lobes, change_of_pose, fit_pose, landmarks_3d
from fewshot_heads.rendering.behind_head import guessed_share
from fewshot_heads.rendering.depth import TEMPLES, inflate
from fewshot_heads.rendering.head_surface import (
    CELLS,
    DEPTH_CELLS,
    FULL_DENSITY,
    SURFACE_THICKNESS_HEAD_UNITS,
    smooth_coverage,
    transformed,
)
from fewshot_heads.rendering.strands import LONGEST_HEAD_UNITS, NAPE_HEAD_UNITS, around_head, paint_back

_POINTS = 256  # side of the grid of the skull's points, for the crop
_SMOOTH_POINTS = 3  # standard deviation, over which steps of the silhouette are smoothed
_LID_HEAD_UNITS, _LID_STEP = 0.15, 3  # depth of the lid behind the rim, and its points' distance: it is flat
_RIM_POINTS = 9  # width of the square that erodes the skull, so that hair at the silhouette stays sharp
_PAINTED_PIXELS = 384  # height of the painted image, which holds the head
_MIN_MATTE = 0.3
# The nape is narrower than the head: from half a head unit above the lobes to a fifth below.
_TAPER_HEAD_UNITS, _NAPE_WIDTH, _NAPE_HOLLOW = (-0.6, 0.3), 0.85, 0.25
_NECK_EDGE_HEAD_UNITS = 0.1  # depth over which the neck's axis hides the back
_FRONT_BEHIND_TEMPLES_HEAD_UNITS = 0.1  # depth of the plane in which the skull begins


class BackProjection(NamedTuple):
    """The back of a head as a frame shows it, on a map of c x c cells.

    Attributes:
        flow: float32 [c, c, 2], positions in the painted image, -1 to 1.
        opacity: float32 [c, c], 0 to 1.
    """

    flow: np.ndarray
    opacity: np.ndarray


class _Skull(NamedTuple):
    """Points of the back of a head.

    Attributes:
        points: float32 [N, 3], pixels.
        painted: float32 [N, 2], their longitudes and heights in the painted image, -1 to 1.
    """

    points: np.ndarray
    painted: np.ndarray


class _Painted(NamedTuple):
    """The painted image, as in `strands.paint_back`.

    Attributes:
        colors: float32 [1, 3, P, 2 P], -1 to 1, with the channels last in memory.
        alpha: float32 [P, 2 P, 1], 0 to 1.
    """

    colors: np.ndarray
    alpha: np.ndarray


class BackOfHead:
    """The back of a head from one source image.

    Args:
        head: uint8 [R, R, 4], RGB and alpha of the head.
        face: landmarks of the image, pixels of the crop.
        size: side of the crop, pixels.
        body: uint8 [R, R, 4], RGB and alpha of the body, whose neck goes on as the nape.
    """

    def __init__(self, head: np.ndarray, face: Landmarks, size: int, body: np.ndarray):
        self.head, self.face, self.size, self.pose, self.body = head, face, size, fit_pose(face), body

    def project(self, target: Landmarks, body: np.ndarray) -> BackProjection:
        """Returns the back as a frame would show it without the rest of the head.

        Args:
            target: landmarks of the frame, pixels of the crop.
            body: float32 [c, c], 0 to 1, opacity of the body in the frame, before which the nape is not seen.
        """
        pose = fit_pose(target)
        share = guessed_share(self.pose, pose)
        if not share:
            return BackProjection(grid_positions(CELLS), np.zeros((CELLS, CELLS), np.float32))
        points, painted = self._moved(pose), self._skull.painted
        tolerance = SURFACE_THICKNESS_HEAD_UNITS * pose.scale
        weights = np.ones(len(points), np.float32)
        neck = pose.apply(NECK_TOP)[0, 2]
        behind = ((points[:, 2] - neck) / (_NECK_EDGE_HEAD_UNITS * pose.scale)).astype(np.float32)
        values = np.column_stack([painted - points[:, :2], behind.clip(-1, 1)])
        result = splat(points, values, weights, CELLS, tolerance, FULL_DENSITY)
        flow = grid_positions(CELLS) + result.values[..., :2]
        alpha = sample_map(self._painted.alpha, flow)[..., 0] * (1 - body * (1 + result.values[..., 2]) / 2)
        return BackProjection(flow, np.float32(share) * smooth_coverage(result.coverage) * alpha)

    def draw(self, images: np.ndarray, projections: Sequence[BackProjection]) -> np.ndarray:
        """Returns images with the back drawn on them, float32 [B, 3, R, R].

        Args:
            images: float32 [B, 3, R, R], -1 to 1.
            projections: of the B frames.
        """
        return np.stack([self._drawn(*pair) for pair in zip(images, projections, strict=True)])

    def _drawn(self, image: np.ndarray, projection: BackProjection) -> np.ndarray:
        """Returns an image [3, R, R] with the back drawn on it."""
        if not projection.opacity.any():
            return image
        side = image.shape[-1]
        colors = sample(self._painted.colors, resize_flow(projection.flow[None], side), "zeros")[0]
        return image + resize(projection.opacity[None, None], side)[0] * (colors - image)

    def _moved(self, target: Pose) -> np.ndarray:
        """Returns the skull's points in a pose, float32 [N, 3]; x and y from -1 to 1, depth in pixels."""
        moved = transformed(self._skull.points, *change_of_pose(self.pose, target))
        moved[:, :2] = normalize_points(moved[:, :2], self.size)
        return moved

    @cached_property
    def _skull(self) -> _Skull:
        """The skull in the source's pose, which begins behind the temples.

        It is closed in front by a flat lid, or its far wall would show through a gap beside the face.
        """
        inside, across, thickness = self._inflated_matte()
        lid_depth = _LID_HEAD_UNITS * self.pose.scale
        lid = inside & (thickness > lid_depth)
        lid &= np.logical_and.outer(*[np.arange(_POINTS) % _LID_STEP == 0] * 2)
        back = np.arctan2(across, (thickness - lid_depth) / np.maximum(thickness.max(1, keepdims=True), 1)) / np.pi
        front = np.sign(across) - across / 2  # from the rim on to the middle of the face, which is -1 and 1
        depth = np.r_[thickness[inside], np.full(lid.sum(), lid_depth)]
        longitude = np.r_[back[inside], front[lid]]
        rows, columns = np.vstack([np.argwhere(inside), np.argwhere(lid)]).T + 0.5
        temples = landmarks_3d(self.face)[TEMPLES, 2].mean() + _FRONT_BEHIND_TEMPLES_HEAD_UNITS * self.pose.scale
        pixels, (corner, width) = self.size / _POINTS, self._square
        points = np.column_stack([columns * pixels, rows * pixels, temples + depth])
        painted = np.column_stack([longitude, (rows / _POINTS - corner[1]) * (2 / width) - 1])
        return _Skull(points.astype(np.float32), painted.astype(np.float32))

    def _inflated_matte(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the silhouette of the skull, the head's matte that narrows toward the nape, and its inflated shape.

        Returns:
            Where it is, bool [p, p]; how far to a side of it, -1 to 1; and how thick it is there, pixels; [p, p].
        """
        matte = cv2.resize(self.head[..., 3], (_POINTS, _POINTS), interpolation=cv2.INTER_AREA) > _MIN_MATTE * 255
        matte = cv2.erode(matte.astype(np.uint8), np.ones((_RIM_POINTS, _RIM_POINTS))) > 0
        below = self._below_lobes(_POINTS)
        edges = np.stack([matte.argmax(1), _POINTS - matte[:, ::-1].argmax(1)], 1).astype(np.float32)
        left, right = np.split(cv2.GaussianBlur(edges, (1, 6 * _SMOOTH_POINTS + 1), _SMOOTH_POINTS), 2, axis=1)
        half = np.maximum(right - left, 1) / 2 * (1 - (1 - _NAPE_WIDTH) * _toward_nape(below))
        across = (np.arange(_POINTS) + 0.5 - (left + right) / 2) / half
        narrowed = matte & (np.abs(across) < 1)
        small = cv2.resize(narrowed.astype(np.float32), (DEPTH_CELLS, DEPTH_CELLS), interpolation=cv2.INTER_AREA)
        inflated = inflate(small > _MIN_MATTE) * (self.size / DEPTH_CELLS)
        thickness = cv2.resize(inflated, (_POINTS, _POINTS), interpolation=cv2.INTER_LINEAR)
        hollow = 1 - _NAPE_HOLLOW * _toward_nape(below)
        thickness = cv2.GaussianBlur(thickness, (0, 0), _SMOOTH_POINTS)
        return narrowed & (below < LONGEST_HEAD_UNITS), across, hollow * thickness

    @cached_property
    def _square(self) -> tuple[np.ndarray, float]:
        """The smallest square around the head in the crop: upper left corner [2] and width, of the crop's side."""
        y, x = np.nonzero(self.head[..., 3])
        if not len(x):
            return np.zeros(2), 1.0
        low, high = np.array([x.min(), y.min()]), np.array([x.max(), y.max()]) + 1
        side, width = len(self.head), int((high - low).max())
        return ((low + high - width) // 2).clip(0, side - width) / side, width / side

    def _below_lobes(self, side: int, corner: np.ndarray | float = 0.0, width: float = 1.0) -> np.ndarray:
        """Returns how far pixels of a square of the crop are below the ears' lobes, [side, side], head units."""
        pixels = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1) + 0.5) * (width / side) + corner
        return below_lobes(self.pose, pixels * self.size) / self.pose.scale

    def _nape_color(self) -> np.ndarray | None:
        """Returns the color of the neck's top, float32 [3], 0 to 255; None without a neck."""
        below = self._below_lobes(len(self.body))
        top = (below > 0) & (below < NAPE_HEAD_UNITS) & (self.body[..., 3] > 127)
        return self.body[top, :3].mean(0, dtype=np.float32) if top.any() else None

    @cached_property
    def _painted(self) -> _Painted:
        """The hair all around the head, above the nape. Transparent if the image shows no hair."""
        side, (corner, width) = _PAINTED_PIXELS, self._square
        left, top = (corner * len(self.head)).round().astype(int)
        pixels = round(width * len(self.head))
        head = self.head[top : top + pixels, left : left + pixels]
        head = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA if pixels > side else cv2.INTER_LINEAR)
        face = self.face.moved((corner * self.size).astype(np.float32), side / (width * self.size))
        painted = paint_back(head, face, around_head(self._below_lobes(side, corner, width)), self._nape_color())
        if painted is None:
            return _Painted(np.zeros((1, 3, side, 2 * side), np.float32), np.zeros((side, 2 * side, 1), np.float32))
        return _Painted(to_float(np.rint(painted[0]).clip(0, 255).astype(np.uint8)[None]), painted[1])


def _toward_nape(below: np.ndarray) -> np.ndarray:
    """Returns how far heights are on the way to the nape, 0 to 1.

    Args:
        below: how far they are below the ears' lobes, head units.
    """
    share = ((below - _TAPER_HEAD_UNITS[0]) / (_TAPER_HEAD_UNITS[1] - _TAPER_HEAD_UNITS[0])).clip(0, 1)
    return share * share * (3 - 2 * share)
