"""Building blocks of the networks: residual blocks and adaptive instance normalization (AdaIN).

AdaIN: Huang and Belongie, ICCV 2017, eq. 8. The embedding sets its parameters (Zakharov et al., ICCV 2019, sec. 3.1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Returns a convolution that keeps the resolution at stride 1.

    Args:
        inputs: input channels.
        outputs: output channels.
        kernel: side of the kernel, pixels, odd.
        stride: the output has 1 / stride of the resolution.
        bias: whether a bias is added.
    """
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)


def channels_last(network: nn.Module) -> nn.Module:
    """Returns the network with convolutions in channels-last order, about twice as fast on a CPU.

    Args:
        network: changed in place.
    """
    return convert_conv2d_weight_memory_format(network, torch.channels_last)


def adain(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Returns x with each channel at a given mean and standard deviation, float32 [B, C, H, W].

    AdaIN(x) = scale (x - mean(x)) / std(x) + shift (Huang and Belongie, eq. 8).

    Args:
        x: [B, C, H, W].
        scale: [B, C], the new standard deviations.
        shift: [B, C], the new means.
    """
    exact = x.float()  # also under autocast: a variance is a small difference of large numbers
    mean = exact.mean((2, 3))
    variance = (exact.square().mean((2, 3)) - mean.square()).clamp_min(0)  # faster on a CPU than torch.var_mean
    gain = scale * torch.rsqrt(variance + 1e-5)
    return torch.addcmul((shift - mean * gain)[:, :, None, None], exact, gain[:, :, None, None])


class Down(nn.Module):
    """A strided convolution that halves the resolution, and one residual block.

    Args:
        inputs: input channels.
        outputs: output channels.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.shrink = conv(inputs, outputs, stride=2)
        self.refine = nn.Sequential(nn.ReLU(), conv(outputs, outputs), nn.ReLU(), conv(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, outputs, H/2, W/2].

        Args:
            x: [B, inputs, H, W].
        """
        x = self.shrink(x)
        return x + self.refine(x)


class AdaResBlock(nn.Module):
    """A residual block with two AdaINs.

    The shortcut is not normalized. Colors and contrast pass through the shortcut, and the style changes the residual
    branch.

    Args:
        inputs: input channels.
        outputs: output channels.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.channels = (inputs, outputs)
        self.conv1, self.conv2 = conv(inputs, outputs), conv(outputs, outputs)
        self.shortcut = conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    @property
    def style_size(self) -> int:
        """Number of scales and shifts that the block takes."""
        return 2 * sum(self.channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Returns [B, outputs, H, W].

        Args:
            x: [B, inputs, H, W].
            style: [B, style_size], scales and shifts of the first AdaIN, then of the second.
        """
        inputs, outputs = self.channels
        scale1, shift1, scale2, shift2 = style.split([inputs, inputs, outputs, outputs], dim=1)
        h = self.conv1(F.relu(adain(x, scale1, shift1)))
        h = self.conv2(F.relu(adain(h, scale2, shift2)))
        return self.shortcut(x) + h
