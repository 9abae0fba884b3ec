"""Building blocks shared by the networks: residual blocks, and adaptive instance normalization.

AdaIN: Huang and Belongie, ICCV 2017, eq. 8; driven by the embedding as in Zakharov et al., ICCV 2019, sec. 3.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolutions in channels-last order, in which a CPU runs them about twice as fast."""
    return convert_conv2d_weight_memory_format(network, torch.channels_last)


def adain(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Each channel of x [B, C, H, W] to mean `shift` and standard deviation `scale`, both [B, C]."""
    exact = x.float()  # under autocast: a variance is a small difference of large numbers
    mean = exact.mean((2, 3))
    variance = (exact.square().mean((2, 3)) - mean.square()).clamp_min(0)  # faster on a CPU than torch.var_mean
    gain = scale * torch.rsqrt(variance + 1e-5)
    return torch.addcmul((shift - mean * gain)[:, :, None, None], exact, gain[:, :, None, None])


class Down(nn.Module):
    """Halves the resolution, then one residual step: [B, inputs, H, W] to [B, outputs, H/2, W/2]."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.shrink = conv(inputs, outputs, stride=2)
        self.refine = nn.Sequential(nn.ReLU(), conv(outputs, outputs), nn.ReLU(), conv(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.shrink(x)
        return x + self.refine(x)


class AdaResBlock(nn.Module):
    """Residual block whose two normalizations are set by a style.

    [B, inputs, H, W] and style [B, style_size] to [B, outputs, H, W]. The shortcut is not normalized: colors
    and contrast pass through it, the style acts on the residual branch.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.channels = (inputs, outputs)
        self.conv1, self.conv2 = conv(inputs, outputs), conv(outputs, outputs)
        self.shortcut = conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    @property
    def style_size(self) -> int:
        return 2 * sum(self.channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        inputs, outputs = self.channels
        scale1, shift1, scale2, shift2 = style.split([inputs, inputs, outputs, outputs], dim=1)
        h = self.conv1(F.relu(adain(x, scale1, shift1)))
        h = self.conv2(F.relu(adain(h, scale2, shift2)))
        return self.shortcut(x) + h
