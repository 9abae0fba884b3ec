"""Body and background, over which the head is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.imaging.warping import identity_grid, sample
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import NECK, NECK_TOP, Pose, fit_pose, turn_between

_SHORTEST_NECK = 0.1  # half crops
_LEAN_START = 0.5  # of the neck's length, below its base: the outline bends softly from the shoulders on
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
        self.body = body[None].contiguous(memory_format=torch.channels_last)[0]  # see `sample`
        self.background = background
        self.end_share = 0.0 if continues else _FREE_END_SHARE
        self.still = self._over(body[None])

    def follow(self, sources: Sequence[Landmarks], targets: Sequence[Landmarks], size: int) -> Tensor:
        """Returns the body, bent after the neck, over the background, [B, 3, R, R].

        The top of the neck is fixed to the skull, so a neck leans when a head turns. Its base moves when a head sways,
        and the body's lower end by less or not at all.

        Args:
            sources: B faces, or one for all, as in the layers' image, pixels of the crop.
            targets: B faces of the frames, pixels of the crop.
            size: side S of the crop, pixels.
        """
        before = [fit_pose(face) for face in sources]
        pairs = list(zip(before * (len(targets) // len(before)), map(fit_pose, targets), strict=True))
        moved = np.stack([[_neck_shift(*pair), _shift(NECK_TOP, *pair)] for pair in pairs]) * (2 / size)
        shifts = torch.from_numpy(moved).to(self.body)[:, :, None]  # [B, 2, 1, 2], of the neck's base and top
        side = self.body.shape[-1]
        shifts = shifts * (shifts.norm(dim=3, keepdim=True) * side / 2 > _MIN_SHIFT_PIXELS)
        if not shifts.any():
            return self.still.expand(len(shifts), -1, -1, -1)
        ends = [[pose.apply(point)[0, 1] * (2 / size) - 1 for point in (NECK, NECK_TOP)] for pose, _ in pairs]
        base, top = torch.tensor(ends).to(self.body)[:, :, None].unbind(1)  # heights, [B, 1]
        grid = identity_grid(side, self.body)
        y = grid[:, :, 0, 1]  # [1, R]
        share = ((1 - y) / (1 - base.clamp(max=_LOWEST_NECK))).clamp(0, 1)
        share = (self.end_share + (1 - self.end_share) * share * share * (3 - 2 * share))[..., None]
        start = base + _LEAN_START * (base - top)
        lean = ((start - y) / (start - top).clamp(min=_SHORTEST_NECK)).clamp(0, 1)[..., None]
        lean = lean * lean * (3 - 2 * lean)
        of_base, of_top = shifts.unbind(1)
        flow = grid - (share * of_base + lean * (of_top - of_base))[:, :, None]
        bodies = self.body[None].expand(len(shifts), -1, -1, -1)
        return self._over(sample(bodies, flow, "border"))

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
    shift = _shift(NECK, source, target)
    error = source.scale * np.hypot(_POSE_ERROR, _PIVOT_ERROR * turn_between(source, target))
    power = shift @ shift
    return shift * power / (power + error**2)


def _shift(point: np.ndarray, source: Pose, target: Pose) -> np.ndarray:
    """Returns how a point [1, 3] of the head moves in the image, [2], pixels."""
    return (target.apply(point) - source.apply(point))[0, :2]


def resize_antialiased(images: Tensor, size: int) -> Tensor:
    """Returns images [K, C, R, R] at another size, without aliasing.

    Args:
        images: [K, C, R, R].
        size: new side, pixels.
    """
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
