"""Source images warped along flows, and the layers that a frame is composited from."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging import warping as warp

_RIGID = 5.0  # e-foldings that a picture counts less for, where it is stretched or pressed to twice or half its area
_LEAST = 1e-9  # the share of a picture that counts nothing


class WarpInputs(NamedTuple):
    """The source pixels a frame is made from.

    images [B, T, 3, W, W] in [-1, 1]: the source pictures in use for this frame, W = span * S;
    mattes [B, T, 1, W, W], 0 to 1: which of them is person (`matte.person_matte`);
    flows [B, T, s, s, 2]: where each comes from (`warp.tps_flow_from_landmarks`);
    weights [B, T], rows sum to 1: how much each counts;
    still [B, 3, S, S]: the background (`backdrop`), with heads only where the next two bar it;
    opened [B, 1, S, S], 0 to 1: mouths and eyes that are shut in the picture (`landmarks.stickman.disocclusion_mask`);
    covered [B, 1, S, S], 0 to 1: where the driver's head hides the still layer, if a person is carried there
        (`backdrop.head_occlusion_mask`);
    unseen [B, 1, S, S], 0 to 1: where the still layer shows only heads (`BackgroundModel.behind`);
    span: side of what the images show, in crops. Beyond it they are mirrored.
    """

    images: Tensor
    alpha_mattes: Tensor
    flows: Tensor
    weights: Tensor
    background: Tensor
    disocclusion: Tensor
    head_mask: Tensor
    background_unknown: Tensor
    crop_ratio: float = 1.0

    def warped(self, flows: Tensor) -> Tensor:
        """The weighted pictures along flows [B, T, h, w, 2]: [B, 3, h, w]."""
        return self._along(flows, self.images)

    def person(self, flows: Tensor) -> Tensor:
        """How much of what is `carried` is person: [B, 1, h, w], 0 to 1."""
        return self._along(flows, self.alpha_mattes)

    def _along(self, flows: Tensor, pictures: Tensor) -> Tensor:
        batch, count = flows.shape[:2]
        carried = warp.sample(pictures.flatten(0, 1), flows.flatten(0, 1) / self.crop_ratio)
        return (carried.unflatten(0, (batch, count)) * self._shares(flows.shape[2])).sum(1)

    def _shares(self, size: int) -> Tensor:
        """How much each picture counts at each place, [B, T, 1, size, size] or, of a lone one, 1: as a whole, and less
        where it is pulled apart or pressed together."""
        if self.weights.shape[1] == 1:
            return self.weights[:, :, None, None, None]
        bent = warp.log_area_change(self.flows.flatten(0, 1)).abs()
        bent = F.avg_pool2d(bent, 5, 1, 2, count_include_pad=False).unflatten(0, self.weights.shape)
        shares = (self.weights.clamp_min(_LEAST).log()[:, :, None, None, None] - _RIGID * bent).softmax(1)
        return F.interpolate(shares.flatten(0, 1), (size, size), mode="bilinear").unflatten(0, self.weights.shape)

    def resized_flows(self, size: int) -> Tensor:
        batch, count = self.flows.shape[:2]
        return warp.resize_flow(self.flows.flatten(0, 1), size).unflatten(0, (batch, count))


class Layers(NamedTuple):
    """A frame before it is put together: what the network decided, at any resolution.

    paint [B, 3, S, S] in [-1, 1]; shares [B, 3, S, S], which sum to 1: of the still layer, the carried
    source and the paint; flows [B, T, S, S, 2]: the corrected flow of each picture in use.
    """

    synthesized: Tensor
    blend_weights: Tensor
    flows: Tensor

    def composite(self, texture: WarpInputs) -> Tensor:
        """The frame [B, 3, R, R] for a texture whose still picture is R x R, S or any other size.

        Kept and carried pixels come from the pictures as they are, so a large source stays sharp.
        """
        size = texture.background.shape[-1]
        paint, shares, flows = self.synthesized, self.blend_weights, self.flows
        if size != paint.shape[-1]:
            both = F.interpolate(torch.cat([paint, shares], 1), size=(size, size), mode="bilinear", align_corners=False)
            paint, shares = both[:, :3], both[:, 3:]
            flows = warp.resize_flow(flows.flatten(0, 1), size).unflatten(0, flows.shape[:2])
        still, carried, painted = shares.split(1, 1)
        return still * texture.background + carried * texture.warped(flows) + painted * paint
