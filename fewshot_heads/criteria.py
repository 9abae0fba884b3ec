"""Training criteria: each a small function or module, put together by a name-to-weight table."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_VGG_SCALE = 255.0  # features of the 0-255 network, brought to the order of 1


def weighted_l1(frame: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Mean absolute difference at three scales, frame and truth [B, 3, H, W], region weights [B, 1, H, W]."""
    loss = frame.new_zeros(())
    for _ in range(3):
        loss = loss + ((frame - truth).abs() * region).mean() / region.mean()
        frame, truth, region = (F.avg_pool2d(x, 2) for x in (frame, truth, region))
    return loss / 3


def content(vgg: nn.Module, frame: Tensor, truth: Tensor) -> Tensor:
    """Mean L1 between features of `extractors.VGG19Features` (Zakharov et al., sec. 3.2, L_CNT)."""
    with torch.no_grad():
        wanted = vgg(truth)
    return sum(((F.l1_loss(a, b) / _VGG_SCALE) for a, b in zip(vgg(frame), wanted, strict=True)), frame.new_zeros(()))


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Zakharov et al., eq. 9; scores of any shape."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """Zakharov et al., eq. 4, first term."""
    return -fake.mean()


def feature_matching(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """Mean L1 between the discriminator's features of result and truth (sec. 3.2, L_FM)."""
    terms = [F.l1_loss(a, b.detach()) for a, b in zip(fake, real, strict=True)]
    return torch.stack(terms).mean()
