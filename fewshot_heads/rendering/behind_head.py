"""Body and background, over which the head is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.imaging.warping import identity_grid
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import NECK, Pose, fit_pose, turn_between

_LOWEST_NECK = 0.9  # half crops from the crop's center: a neck at the border would bend at once
# How far the lower end of a body moves over how far its neck does, where the image cuts the body off. On talking heads,
# L1 on the body is .077 for 0, .074 for .5 and .075 for 1.
_FREE_END_SHARE = 0.5
# Errors of the neck's position in head units: of a pose, and of the point about which heads turn. On still bodies the
# position shifts by .02 when the head talks, and by .28 when it turns by 30 degrees.
_POSE_ERROR, _PIVOT_ERROR = 0.04, 0.5
_MIN_SHIFT_PIXELS = 0.25  # a body that moves by less stands still


def rgba_tensor(images: np.ndarray) -> Tensor:
    """Returns RGBA images as a tensor [K, 4, R, R]: colors from -1 to 1, alpha from 0 to 1.

    Args:
        images: uint8 [K, R, R, 4].
    """
    colors = to_tensor(np.ascontiguousarray(images[..., :3]))
    return torch.cat([colors, torch.from_numpy(images[:, None, ..., 3]).float() / 255], 1)


class BehindHead:
    """Body and background, over which the head is drawn.

    Args:
        body: [4, R, R], colors from -1 to 1 and alpha from 0 to 1.
        background: [3, R, R], -1 to 1.
        continues: whether the image goes on below the crop. The body's lower end then stands still.
    """

    def __init__(self, body: Tensor, background: Tensor, continues: bool = False):
        self.body, self.background = body, background
        self.end_share = 0.0 if continues else _FREE_END_SHARE
        self.still = self._over(body[None])

    def follow(self, sources: Sequence[Landmarks], targets: Sequence[Landmarks], size: int) -> Tensor:
        """Returns the body, bent after the neck, over the background, [B, 3, R, R].

        The neck moves with the head, the body's lower end by less or not at all.

        Args:
            sources: B faces, or one for all, as in the layers' image, pixels of the crop.
            targets: B faces of the frames, pixels of the crop.
            size: side S of the crop, pixels.
        """
        before = [fit_pose(face) for face in sources]
        before *= len(targets) // len(before)
        pairs = zip(before, map(fit_pose, targets), strict=True)
        shifts = torch.from_numpy(np.stack([_neck_shift(*pair) for pair in pairs]) * (2 / size)).to(self.body)
        heights = torch.tensor([pose.apply(NECK)[0, 1] * (2 / size) - 1 for pose in before]).to(self.body)
        side = self.body.shape[-1]
        shifts = shifts * (shifts.norm(dim=1, keepdim=True) * side / 2 > _MIN_SHIFT_PIXELS)
        if not shifts.any():
            return self.still.expand(len(shifts), -1, -1, -1)
        x, y = identity_grid(side, self.body).unbind(-1)
        below_neck = (1 - y[:, :, :1]) / (1 - heights.clamp(max=_LOWEST_NECK))[:, None, None]  # [B, R, 1]
        share = below_neck.clamp(0, 1)
        share = self.end_share + (1 - self.end_share) * share * share * (3 - 2 * share)
        flow = torch.stack([x - share * shifts[:, 0, None, None], y - share * shifts[:, 1, None, None]], -1)
        bodies = self.body[None].expand(len(shifts), -1, -1, -1)
        return self._over(F.grid_sample(bodies, flow, padding_mode="border", align_corners=False))

    def _over(self, body: Tensor) -> Tensor:
        """Returns bodies [B, 4, R, R] over the background, [B, 3, R, R]."""
        return torch.lerp(self.background, body[:, :3], body[:, 3:])


def _neck_shift(source: Pose, target: Pose) -> np.ndarray:
    """Returns how the neck's base moves in the image, [2], pixels.

    A turn moves the point where the base is assumed by as much as the assumption is wrong. The shift is weighed against
    this error as in Wiener's filter: a head that sways takes its body along, a head that talks or turns does not.

    Args:
        source: pose of the head when the body stands still.
        target: pose of the frame.
    """
    shift = (target.apply(NECK) - source.apply(NECK))[0, :2]
    error = source.scale * np.hypot(_POSE_ERROR, _PIVOT_ERROR * turn_between(source, target))
    power = shift @ shift
    return shift * power / (power + error**2)


def resize_antialiased(images: Tensor, size: int) -> Tensor:
    """Returns images [K, C, R, R] at another size, without aliasing.

    Args:
        images: [K, C, R, R].
        size: new side, pixels.
    """
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
