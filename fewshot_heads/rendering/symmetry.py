"""Completes the hidden cheek of a turned portrait by mirroring the visible one.

Soft symmetry after Hassner et al., "Effective Face Frontalization in Unconstrained Images", CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging.warping import (
    FLOW_SIZE,
    log_area_change,
    resize,
    resize_flow,
    sample,
    tps_flow_from_landmarks,
)
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.control_points import warp_points
from fewshot_heads.landmarks.pose import SURFACE_MIRROR, Pose, fit_pose, mirrored, surface_visibility
from fewshot_heads.models.compositing import WarpInputs

_HIDDEN = (0.0, 0.2)  # cosines to the viewer between which a point of the surface comes to be seen,
_SHOWN = (0.1, 0.4)  # and to be seen well
_EDGE_ON = 0.1  # cosine about 0 over which a point passes from the back of a face to its front
_LEAST = 0.1  # of any point, the least that must be hidden, or shown again, to care about it
_SOFT = 0.03  # head units: the edge of a face
_AROUND = 0.1  # head units that a point of the surface speaks for
_BESIDE, _GROWS = 0.25, 0.6  # head units beside a face that hair and ears take; and more when half of it is shown
_LIGHT = 0.15  # head units over which the light of one side passes into that of the other
_TORN = (0.75, 1.75)  # doublings of area by which a place is torn more than its mirror image would be, until it is that
_BOLD = 1.8  # half a need is met nearly whole, or two cheeks would show through each other


class MirrorCompletion:
    """Mirror completion for a single source image.

    Args:
        own: landmarks of the source image, pixels of the crop.
        size: side S of the crop, pixels.
    """

    def __init__(self, own: Landmarks, size: int):
        self.size = size
        hidden, shown = 1 - _ramp(surface_visibility(own), *_HIDDEN), _ramp(surface_visibility(own), *_SHOWN)
        self.hidden = hidden * shown[SURFACE_MIRROR]  # [151]: how much of a point is not to be seen, but its partner
        self.both = shown * shown[SURFACE_MIRROR]
        self.points = torch.from_numpy(warp_points(mirrored(own, size)))

    @classmethod
    def of(cls, own: Landmarks, size: int) -> MirrorCompletion | None:
        """Returns the completion, or None if both cheeks are visible or no surface is known.

        Args:
            own: landmarks of the source image, pixels of the crop.
            size: side S of the crop, pixels.
        """
        other = cls(own, size)
        return other if own.surface is not None and other.hidden.max() > _LEAST else None

    def apply(self, frames: Tensor, texture: WarpInputs, faces: Sequence[Landmarks]) -> Tensor:
        """Returns the frames with the hidden cheek completed, in the frame's light, [B, 3, R, R].

        Args:
            frames: [B, 3, R, R], -1 to 1.
            texture: source pixels from which the frames were made.
            faces: landmarks of the B frames, pixels of the crop.
        """
        return torch.cat([self._over(frames[i : i + 1], texture, i, face) for i, face in enumerate(faces)])

    def _over(self, frame: Tensor, texture: WarpInputs, index: int, face: Landmarks) -> Tensor:
        pose = fit_pose(face)
        wanted = _ramp(self.hidden * _ramp(surface_visibility(face, pose), *_SHOWN), _LEAST, 1)
        if face.surface is None or not wanted.any():
            return frame
        driver = torch.from_numpy(warp_points(face))[None]
        flow = tps_flow_from_landmarks(self.points[None], driver, self.size).to(frame)
        own = resize_flow(texture.flows[index : index + 1, 0], FLOW_SIZE)
        torn = _torn(own, flow) * min(2 * wanted.max(), 1)
        share, cheek, both = self._where(face, face.surface[:, :2], pose, wanted, torn)
        if not share.any():
            return frame
        side = frame.shape[-1]
        rows, columns = (
            slice(int(found[0] * side / self.size), int((found[-1] + 1) * side / self.size))
            for found in (np.flatnonzero(share.max(axis)) for axis in (1, 0))
        )

        def here(maps: Tensor | np.ndarray) -> Tensor:
            whole = maps if isinstance(maps, Tensor) else torch.from_numpy(maps)[None, None].to(frame)
            return resize(whole, side)[..., rows, columns]

        light = self._light(frame, texture, flow, both, _LIGHT * pose.scale / self.size)
        there = _in_the_picture(resize_flow(flow, side)[:, rows, columns], texture)
        mirror = (sample(texture.images[:1, 0], there) + here(light)).clamp(-1, 1)
        person = sample(texture.alpha_mattes[:1, 0], there)
        # What opens is painted, and a still layer that shows a head is not what is behind it.
        now, inside = slice(index, index + 1), here(cheek)
        still, opened, unseen = (
            here(each[now]) for each in (texture.background, texture.disocclusion, texture.background_unknown)
        )
        weight = here(share) * (1 - opened) * (1 - unseen * (1 - person) * (1 - inside))
        result = frame.clone()
        result[..., rows, columns].lerp_((still + person * (mirror - still)).lerp(mirror, inside), weight)
        return result

    def _where(
        self, face: Landmarks, surface: np.ndarray, pose: Pose, wanted: np.ndarray, torn: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Maps, 0 to 1: [S, S], where the mirror image shows, and the face; [s, s], what else both sides show of that.

        surface [151, 2], wanted [151]: how much of each of its points; torn [s, s]: where the picture is torn.
        """
        front = _ramp(surface_visibility(face, pose), -_EDGE_ON, _EDGE_ON)
        near = _nearness(surface, self.size, _AROUND * pose.scale) * front
        needed, both = (
            ((near * each).sum(-1) / (near.sum(-1) + 1e-12)).astype(np.float32) for each in (wanted, self.both)
        )
        needed = np.maximum(needed, torn).astype(np.float32)
        hull = cv2.convexHull(np.vstack([surface[front > 0], face.points[:27]]).astype(np.float32)) - 0.5
        mask = np.zeros((self.size, self.size), np.uint8)
        cv2.fillConvexPoly(mask, (16 * hull).round().astype(np.int32), 255, cv2.LINE_AA, 4)
        cheek = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), _SOFT * pose.scale)
        need = np.clip(_BOLD * cv2.resize(needed, mask.shape), 0, 1)
        around = _hair_and_ears(mask, face, pose, turned=min(2 * float(wanted.mean()), 0.8))
        share = (need * np.maximum(cheek, around * need)).astype(np.float32)
        share[share < 1 / 255] = 0
        small = cv2.resize(cheek * (1 - share), both.shape, interpolation=cv2.INTER_AREA)
        return share, cheek, (both * small).astype(np.float32)

    @staticmethod
    def _light(frame: Tensor, texture: WarpInputs, flow: Tensor, seen: np.ndarray, width: float) -> Tensor:
        """[1, 3, s, s]: how much lighter a frame is than the mirror image that flow carries there."""
        before, after = (
            F.interpolate(each, (pixels, pixels), mode="area")
            for each, pixels in ((frame, FLOW_SIZE), (texture.images[:1, 0], round(FLOW_SIZE * texture.crop_ratio)))
        )
        return _smooth(before - sample(after, _in_the_picture(flow, texture)), seen, width)


def _torn(own: Tensor, mirrored: Tensor) -> np.ndarray:
    """[s, s], 0 to 1: where a flow [1, s, s, 2] of the picture tears it more than that of its mirror image does."""
    bent = F.avg_pool2d(log_area_change(own).abs() - log_area_change(mirrored).abs(), 5, 1, 2, count_include_pad=False)
    return _ramp(bent[0, 0].cpu().numpy(), *_TORN)


def _in_the_picture(flow: Tensor, texture: WarpInputs) -> Tensor:
    """A flow in the mirror image as one in the picture, which then needs no copy."""
    return flow * flow.new_tensor([-1, 1]) / texture.crop_ratio


def _hair_and_ears(mask: np.ndarray, face: Landmarks, pose: Pose, turned: float) -> np.ndarray:
    """[S, S], 0 to 1: what lies beside the face of a mask [S, S], between the brows, where hats begin, and the mouth,
    where collars do. turned: 0 for a face seen from the front, .8 at most; it reaches farther then."""
    away = cv2.distanceTransform((mask < 128).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) / pose.scale
    down = pose.rotation[:2, 1] / max(float(np.linalg.norm(pose.rotation[:2, 1])), 1e-9)
    heights = np.arange(len(mask))[:, None] * down[1] + np.arange(len(mask)) * down[0]
    brow, mouth, chin = (float((face.points[rows] @ down).mean()) for rows in ([19, 24], [48, 54], [8]))
    beside = _BESIDE + _GROWS * turned
    top = 2 * min(turned, 0.8 * beside)
    around = _ramp(-away, -beside, -turned * beside) * _ramp(-heights, -chin, -(mouth + chin) / 2)
    return around * _ramp(heights, brow - 2 * beside * pose.scale, brow - top * pose.scale)


def _smooth(difference: Tensor, seen: np.ndarray, width: float) -> Tensor:
    """The smooth part of a difference [1, 3, s, s], known where seen [s, s] is 1, and beside it; width: of s."""
    known = np.dstack([difference[0].permute(1, 2, 0).float().cpu().numpy(), np.ones_like(seen)]) * seen[..., None]
    # Where none is near, what is farther off, and else the mean.
    blurs = [0.02**i * cv2.GaussianBlur(known, (0, 0), width * len(seen) * 4**i) for i in range(2)]
    spread = np.sum(blurs, axis=0) + 1e-4 * known.mean((0, 1))
    light = spread[..., :3] / (spread[..., 3:] + 1e-9)
    return torch.from_numpy(light).permute(2, 0, 1)[None].to(difference)


def _nearness(points: np.ndarray, size: int, width: float) -> np.ndarray:
    """[s, s, N]: how near points [N, 2] (pixels of size x size) are to each place of a coarse grid."""
    centers = (np.arange(FLOW_SIZE, dtype=np.float32) + 0.5) * (size / FLOW_SIZE)
    x, y = (np.exp(-((centers[:, None] - points[:, axis]) ** 2) / (2 * width**2)) for axis in (0, 1))
    return y[:, None] * x


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to low, 1 from high."""
    return np.clip((values - low) / (high - low), 0, 1)
