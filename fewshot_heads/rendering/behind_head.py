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
from fewshot_heads.landmarks.pose import NECK, fit_pose

_LOWEST_NECK = 0.9  # half crops from the crop's center: a neck at the border would bend at once
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
    """

    def __init__(self, body: Tensor, background: Tensor):
        self.body, self.background = body, background
        self.still = self._over(body[None])

    def follow(self, sources: Sequence[Landmarks], targets: Sequence[Landmarks], size: int) -> Tensor:
        """Returns the body, bent after the neck, over the background, [B, 3, R, R].

        The neck moves with the head, the lower border of the crop does not.

        Args:
            sources: B faces, or one for all, as in the layers' image, pixels of the crop.
            targets: B faces of the frames, pixels of the crop.
            size: side S of the crop, pixels.
        """
        before, after = (
            np.stack([fit_pose(face).apply(NECK)[0, :2] for face in faces]) for faces in (sources, targets)
        )
        shifts = torch.from_numpy((after - before) * (2 / size)).to(self.body)  # [B, 2], half crops
        heights = torch.from_numpy(before[:, 1] * (2 / size) - 1).to(self.body).expand(len(shifts))
        side = self.body.shape[-1]
        if float(shifts.abs().max()) * side / 2 < _MIN_SHIFT_PIXELS:
            return self.still.expand(len(shifts), -1, -1, -1)
        grid = identity_grid(side, self.body)
        below_neck = (1 - grid[..., 1]) / (1 - heights.clamp(max=_LOWEST_NECK))[:, None, None]
        share = below_neck.clamp(0, 1)
        share = share * share * (3 - 2 * share)
        flow = grid - share[..., None] * shifts[:, None, None]
        return self._over(sample(self.body[None].expand(len(shifts), -1, -1, -1), flow))

    def _over(self, body: Tensor) -> Tensor:
        """Returns bodies [B, 4, R, R] over the background, [B, 3, R, R]."""
        return self.background + body[:, 3:] * (body[:, :3] - self.background)


def resize_antialiased(images: Tensor, size: int) -> Tensor:
    """Returns images [K, C, R, R] at another size, without aliasing.

    Args:
        images: [K, C, R, R].
        size: new side, pixels.
    """
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
