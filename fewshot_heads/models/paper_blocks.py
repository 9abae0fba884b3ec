"""Building blocks of the paper's networks: spectral norm, residual blocks and self-attention.

The residual block is BigGAN's (Brock et al., ICLR 2019, fig. 15). Self-attention is SAGAN's (Zhang et al., ICML 2019).
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from fewshot_heads.errors import BadInput
from fewshot_heads.models.blocks import adain, conv

SIZES = (64, 128, 256, 512)  # sides of the images that the networks accept, pixels
CHANNELS = (64, 512)  # fewest and most channels of the paper
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def normalized(layer: Layer) -> Layer:
    """Adds spectral norm (Miyato et al., ICLR 2018) to a layer and returns the layer.

    The weights start orthogonal. Among weights of spectral norm 1, these best preserve a signal through many layers.

    Args:
        layer: changed in place.
    """
    nn.init.orthogonal_(layer.weight)
    spectral_norm(layer)
    return layer


def block_channels(channels: tuple[int, int], count: int) -> list[int]:
    """Returns the output channels of the first blocks, which double up to a maximum.

    Args:
        channels: fewest and most channels.
        count: number of blocks.
    """
    return [min(channels[0] * 2**i, channels[1]) for i in range(count)]


def count_halvings(size: int, resolution: int) -> int:
    """Returns how often a size is halved to reach a resolution.

    Args:
        size: side of the images, pixels.
        resolution: side after the halvings, pixels, a power of 2.

    Raises:
        BadInput: `size` is not one of `SIZES`.
    """
    if size not in SIZES:
        raise BadInput(f"size={size}: the paper's networks take pictures of {', '.join(map(str, SIZES))} pixels")
    return (size // resolution).bit_length() - 1


def apply_style(x: Tensor, style: Tensor | None) -> Tensor:
    """Returns the AdaIN of x, or x without a style, [B, C, H, W].

    Args:
        x: [B, C, H, W].
        style: [B, 2 C], scales, then shifts; or None.
    """
    return x if style is None else adain(x, *style.chunk(2, 1))


def plain_style(channels: int) -> Tensor:
    """Returns the style [2 channels] that makes an AdaIN an instance norm: scales 1, shifts 0.

    Args:
        channels: of the AdaIN.
    """
    return torch.cat([torch.ones(channels), torch.zeros(channels)])


class ResBlock(nn.Module):
    """BigGAN's residual block: norm, ReLU and convolution, twice, with a shortcut.

    Args:
        inputs: input channels.
        outputs: output channels.
        resize: "down" halves the resolution, "up" doubles it, "" keeps it.
        styled: whether AdaINs normalize the features. Without them the block has no norm.
        first: whether x is an image. The block then has no leading norm and ReLU, which would remove negative values.
    """

    def __init__(self, inputs: int, outputs: int, resize: str = "", styled: bool = False, first: bool = False):
        super().__init__()
        self.resize, self.first = resize, first
        self.normalized = [outputs] if first else [inputs, outputs]
        bias = not styled  # the next norm would remove a bias
        self.conv1, self.conv2 = (normalized(conv(a, outputs, bias=bias)) for a in (inputs, outputs))
        changed = bool(resize) or inputs != outputs
        self.shortcut = normalized(conv(inputs, outputs, 1, bias=False)) if changed else nn.Identity()

    @property
    def style_size(self) -> int:
        """Number of scales and shifts that the block takes."""
        return 2 * sum(self.normalized)

    def plain_style(self) -> Tensor:
        """Returns the style [style_size] that makes the AdaINs instance norms."""
        return torch.cat([plain_style(width) for width in self.normalized])

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """Returns [B, outputs, H', W'].

        Args:
            x: [B, inputs, H, W].
            style: [B, style_size]; None for a block that is not `styled`.
        """
        styles = [None, None] if style is None else list(style.split([2 * width for width in self.normalized], 1))
        h = x if self.first else F.relu(apply_style(x, styles[0]))
        if self.resize == "up":
            h = F.interpolate(h, scale_factor=2)
        h = self.conv2(F.relu(apply_style(self.conv1(h), styles[-1])))
        # A 1x1 convolution and a resize commute. The shortcut's convolution runs at the lower resolution.
        if self.resize == "down":
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        x = self.shortcut(x)
        return h + (F.interpolate(x, scale_factor=2) if self.resize == "up" else x)


class SelfAttention(nn.Module):
    """Self-attention between all positions of a feature map (Zhang et al., SAGAN, ICML 2019, eq. 1-3).

    Keys and values have half the resolution, as in SAGAN and BigGAN code. That takes a quarter of the operations.

    Args:
        channels: of the feature map.
    """

    def __init__(self, channels: int):
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query, self.key = (normalized(conv(channels, narrow, 1, bias=False)) for _ in range(2))
        self.value = normalized(conv(channels, half, 1, bias=False))
        self.out = normalized(conv(half, channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(1))  # the block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, C, H, W].

        Args:
            x: [B, C, H, W].
        """
        query, key, value = self.query(x), F.max_pool2d(self.key(x), 2), F.max_pool2d(self.value(x), 2)
        q, k, v = (y.permute(0, 2, 3, 1).flatten(1, 2) for y in (query, key, value))  # [B, positions, channels]
        attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)  # SAGAN does not scale
        return x + self.gamma * self.out(attended.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2))
