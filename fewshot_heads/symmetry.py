"""The cheek that a turned picture hides, from the one that it shows: a face is nearly its own mirror image.

Soft symmetry, after Hassner et al., "Effective Face Frontalization in Unconstrained Images", CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.geometry import SURFACE_MIRROR, carrying_points, facing, fit_pose, mirrored
from fewshot_heads.models.generator import Texture
from fewshot_heads.models.texture import FLOW_SIZE, carrying_flow, resize_flow, sample

_HIDDEN = (0.0, 0.2)  # cosines to the viewer between which a point of the surface comes to be seen,
_SHOWN = (0.1, 0.4)  # and to be seen well
_LEAST = 0.1  # of any point, the least that must be hidden, or shown again, to care about it
_AROUND = 0.1  # head units that a point of the surface speaks for
_BESIDE, _GROWS = 0.25, 0.6  # head units beside a face that hair and ears take; and more when half of it is shown
_LIGHT = 0.15  # head units over which the light of one side passes into that of the other
_BOLD = 1.8  # half a need is met nearly whole, or two cheeks would show through each other


class OtherSide:
    """What the mirror image of a lone picture knows of the side that the picture hides.

    own: the face in it, pixels of a crop size x size.
    """

    def __init__(self, own: Landmarks, size: int):
        self.size = size
        hidden, shown = 1 - _ramp(facing(own), *_HIDDEN), _ramp(facing(own), *_SHOWN)
        self.hidden = hidden * shown[SURFACE_MIRROR]  # [151]: how much of a point is not to be seen, but its partner
        self.both = shown * shown[SURFACE_MIRROR]
        self.points = torch.from_numpy(carrying_points(mirrored(own, size)))

    @classmethod
    def of(cls, own: Landmarks, size: int) -> OtherSide | None:
        """None for a picture that hides nothing, or whose surface no detector saw."""
        other = cls(own, size)
        return other if own.surface is not None and other.hidden.max() > _LEAST else None

    def over(self, frames: Tensor, texture: Texture, faces: Sequence[Landmarks]) -> Tensor:
        """Frames [B, 3, R, R] of faces (pixels of the crop), made from texture; where they show what its picture hides,
        they show its mirror image, in the light that is there."""
        return torch.cat([self._over(frames[i : i + 1], texture, i, face) for i, face in enumerate(faces)])

    def _over(self, frame: Tensor, texture: Texture, index: int, face: Landmarks) -> Tensor:
        wanted = self.hidden * _ramp(facing(face), *_SHOWN)
        if face.surface is None or wanted.max() < _LEAST:
            return frame
        head = fit_pose(face).scale
        share, inside, both = self._where(face, face.surface[:, :2], wanted, head)
        picture, matte = texture.images[:1, 0], texture.mattes[:1, 0]
        driver = torch.from_numpy(carrying_points(face))[None]
        flow = resize_flow(carrying_flow(self.points[None], driver, self.size).to(frame), frame.shape[-1])
        flow = flow * flow.new_tensor([-1, 1]) / texture.span  # of the mirror image, so the picture needs no copy
        mirror, person = sample(picture, flow), sample(matte, flow)
        mirror = mirror + _light(frame - mirror, both, _LIGHT * head * FLOW_SIZE / self.size)
        still = texture.still[index : index + 1] if len(texture.still) > 1 else texture.still
        weight, cheek = (_at(torch.from_numpy(each)[None, None].to(frame), frame.shape[-1]) for each in (share, inside))
        return frame.lerp((still + person * (mirror - still)).lerp(mirror, cheek), weight)

    def _where(
        self, face: Landmarks, surface: np.ndarray, wanted: np.ndarray, head: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Maps [S, S], 0 to 1: where to show the mirror image; the face; and, [s, s], what else both sides show of it.

        surface [151, 2], wanted [151]: how much of each of its points; head: pixels of a head unit.
        """
        front = _ramp(facing(face), -_LEAST, _LEAST)
        near = _nearness(surface, self.size, _AROUND * head) * front
        total = near.sum(-1) + 1e-12
        needed, both = ((near * each).sum(-1) / total for each in (wanted, self.both))
        hull = cv2.convexHull(np.vstack([surface[front > 0], face.points[:27]]).round().astype(np.int32))
        mask = np.zeros((self.size, self.size), np.float32)
        cv2.fillConvexPoly(mask, hull, 1.0)
        away = cv2.distanceTransform((mask < 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) / head
        # Hair and ears beside the cheek; above the brows hats begin, below the mouth collars do.
        brow, mouth, chin = (face.points[rows, 1].mean() for rows in ([19, 24], [48, 54], [8]))
        y, turned = np.arange(self.size)[:, None], min(2 * float(wanted.mean()), 1.0)
        beside = _BESIDE + _GROWS * turned
        height = _ramp(y, brow - 2 * beside * head, brow - 2 * turned * head) * _ramp(-y, -chin, -(mouth + chin) / 2)
        share = np.clip(_BOLD * cv2.resize(needed, mask.shape), 0, 1)
        share *= np.maximum(mask, _ramp(-away, -beside, -turned * beside) * height * share)
        return share, cv2.GaussianBlur(mask, (0, 0), 0.02 * head), both * (1 - cv2.resize(share, both.shape))


def _light(difference: Tensor, seen: np.ndarray, width: float) -> Tensor:
    """The smooth part of a difference [1, 3, R, R], known where seen [s, s] is 1, and beside it; width: pixels of s."""
    small = F.interpolate(difference, seen.shape, mode="area")[0].permute(1, 2, 0).cpu().numpy()
    known = np.dstack([small, np.ones_like(seen)]) * seen[..., None]
    # Where none is near, what is farther off.
    spread = np.sum([0.02**i * cv2.GaussianBlur(known, (0, 0), width * 4**i) for i in range(4)], axis=0)
    light = torch.from_numpy(spread[..., :3] / (spread[..., 3:] + 1e-9)).permute(2, 0, 1)[None]
    return _at(light.to(difference), difference.shape[-1])


def _nearness(points: np.ndarray, size: int, width: float) -> np.ndarray:
    """[s, s, N]: how near points [N, 2] (pixels of size x size) are to each place of a coarse grid."""
    centres = (np.arange(FLOW_SIZE, dtype=np.float32) + 0.5) * (size / FLOW_SIZE)
    x, y = (np.exp(-((centres[:, None] - points[:, axis]) ** 2) / (2 * width**2)) for axis in (0, 1))
    return y[:, None] * x


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to low, 1 from high."""
    return np.clip((values - low) / (high - low), 0, 1)


def _at(maps: Tensor, side: int) -> Tensor:
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)
