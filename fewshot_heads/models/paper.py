"""The networks of Zakharov et al., ICCV 2019, as published: embedder, generator and projection discriminator.

What the paper fixes (sec. 3.4): residual blocks that halve or double the resolution around some that keep it, 64
channels at least and 512 at most, self-attention at 32x32 on the way down and at 64x64 on the way up, instance norm on
the generator's way down and AdaIN after it, spectral norm on every layer, N = 512; 15, 38 and 20 million parameters.

What it leaves open, chosen here so that all of its totals come out (14.9, 38.1 and 19.6 million; 93 GFLOP a frame
with 2 for a multiply-add), and as in the authors' later open code where that says:
- the block is BigGAN's (Brock et al., ICLR 2019, fig. 15), its shortcut a 1x1 convolution whenever anything changes;
- the generator halves four times, has four blocks at 1/16 of the picture (one more or less is 5.8 million), and
  doubles four times; an up block has the channels of its resolution's down block twice over, 512 at most;
- upsampling is nearest; self-attention is SAGAN's, with keys and values at half the resolution;
- every norm of the up path takes its 2 x channels from P, 13,056 in all. P has a bias, without which every scale would
  start near 0; convolutions before a norm have none. All start orthogonal.

One thing is not as published: embedder and discriminator pool by ReLU, then the mean (see `Encoder.forward`), where the
paper says sum, then ReLU.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from fewshot_heads.errors import BadInput
from fewshot_heads.models.blocks import adain, conv

SIZES = (64, 128, 256, 512)
CHANNELS = (64, 512)  # the fewest and the most
_DOWN_ATTENTION, _UP_ATTENTION = 32, 64  # resolutions
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def _normed(layer: Layer) -> Layer:
    """The layer under spectral norm (Miyato et al., ICLR 2018).

    Orthogonal: of all weights of spectral norm 1 those that keep a signal strongest through many layers.
    """
    nn.init.orthogonal_(layer.weight)
    spectral_norm(layer)
    return layer


def _widths(channels: tuple[int, int], count: int) -> list[int]:
    """Channels after each of the first `count` blocks: they double from the fewest to the most."""
    return [min(channels[0] * 2**i, channels[1]) for i in range(count)]


def _halvings(size: int, resolution: int) -> int:
    """How often `size` is halved to reach `resolution`."""
    if size not in SIZES:
        raise BadInput(f"size={size}: the paper's networks take pictures of {', '.join(map(str, SIZES))} pixels")
    return (size // resolution).bit_length() - 1


class ResBlock(nn.Module):
    """BigGAN's residual block: norm, ReLU, convolution, twice, beside a shortcut.

    x [B, inputs, H, W] and style [B, style_size] to [B, outputs, H', W'].
    resize: "down" halves H and W, "up" doubles them, "" keeps them. styled: normalized, as the style says; otherwise
    there is no norm. first: x is a picture, whose negative half the leading ReLU would lose, so norm and ReLU go.
    """

    def __init__(self, inputs: int, outputs: int, resize: str = "", styled: bool = False, first: bool = False):
        super().__init__()
        self.resize, self.first = resize, first
        self.normalized = [outputs] if first else [inputs, outputs]
        bias = not styled  # the next norm would take it out again
        self.conv1, self.conv2 = (_normed(conv(a, outputs, bias=bias)) for a in (inputs, outputs))
        changed = bool(resize) or inputs != outputs
        self.shortcut = _normed(conv(inputs, outputs, 1, bias=False)) if changed else nn.Identity()

    @property
    def style_size(self) -> int:
        return 2 * sum(self.normalized)

    def plain_style(self) -> Tensor:
        """[style_size]: the style that makes the block's AdaINs instance norms."""
        return torch.cat([_plain_style(width) for width in self.normalized])

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        styles = [None, None] if style is None else list(style.split([2 * width for width in self.normalized], 1))
        h = x if self.first else F.relu(_adain(x, styles[0]))
        if self.resize == "up":
            h = F.interpolate(h, scale_factor=2)
        h = self.conv2(F.relu(_adain(self.conv1(h), styles[-1])))
        # A 1x1 convolution and a resize commute: the shortcut's is done where there are fewer pixels.
        if self.resize == "down":
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        x = self.shortcut(x)
        return h + (F.interpolate(x, scale_factor=2) if self.resize == "up" else x)


def _adain(x: Tensor, style: Tensor | None) -> Tensor:
    """x [B, C, H, W] normalized to style [B, 2 C], scales then shifts; as it is where there is none."""
    return x if style is None else adain(x, *style.chunk(2, 1))


def _plain_style(width: int) -> Tensor:
    """[2 width]: scales 1, shifts 0."""
    return torch.cat([torch.ones(width), torch.zeros(width)])


class SelfAttention(nn.Module):
    """Every place of x [B, C, H, W] looks at every other (Zhang et al., SAGAN, ICML 2019, eq. 1-3).

    Keys and values have half the resolution, as in SAGAN's and BigGAN's code: a quarter of the work.
    """

    def __init__(self, channels: int):
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query, self.key = (_normed(conv(channels, narrow, 1, bias=False)) for _ in range(2))
        self.value = _normed(conv(channels, half, 1, bias=False))
        self.out = _normed(conv(half, channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(1))  # starts as if it were not there

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query(x), F.max_pool2d(self.key(x), 2), F.max_pool2d(self.value(x), 2)
        q, k, v = (y.permute(0, 2, 3, 1).flatten(1, 2) for y in (query, key, value))  # [B, places, channels]
        seen = F.scaled_dot_product_attention(q, k, v, scale=1.0)  # SAGAN does not scale
        return x + self.gamma * self.out(seen.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2))


class Encoder(nn.Module):
    """What embedder and discriminator have in common: a frame with its stickman to a vector.

    Blocks without a norm halve the resolution down to 4x4 whatever the size; `extra` more stay there.
    """

    def __init__(self, embedding: int, size: int, channels: tuple[int, int], extra: int = 0):
        super().__init__()
        halvings = _halvings(size, 4)
        widths = _widths(channels, halvings + extra)
        pairs = pairwise([6, *widths[:-1], embedding])
        self.blocks = nn.ModuleList(
            ResBlock(a, b, resize="down" if i < halvings else "", first=i == 0) for i, (a, b) in enumerate(pairs)
        )
        self._attends_after = _halvings(size, _DOWN_ATTENTION) - 1
        self.attention = SelfAttention(widths[self._attends_after])

    def forward(self, frame: Tensor, stickman: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Both [B, 3, S, S], or patches of that. Returns the vector [B, embedding] and what each block made."""
        x = torch.cat([frame, stickman], 1).contiguous(memory_format=torch.channels_last)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            features.append(x)
            if i == self._attends_after:
                x = self.attention(x)
        # The paper says sum, then ReLU. In this order a unit can't fall silent for every picture, as the match term
        # made all of them do; and the mean, the sum but for a constant, begins within reach of the hinge's margin.
        return F.relu(x).mean((2, 3)), features


class PaperEmbedder(nn.Module):
    """E of the paper's sec. 3.1: e_hat is the mean over K pictures of E(picture, stickman).

    embedding: length of e_hat; size: of the pictures; channels: the fewest and the most.
    """

    def __init__(self, embedding: int = 512, size: int = 256, channels: tuple[int, int] = CHANNELS):
        super().__init__()
        self.encoder = Encoder(embedding, size, channels)

    def forward(self, frames: Tensor, stickmen: Tensor) -> Tensor:
        """frames, stickmen: [B, K, 3, S, S] in [-1, 1]. Returns [B, K, E]; average over K for e_hat."""
        vectors, _ = self.encoder(frames.flatten(0, 1), stickmen.flatten(0, 1))
        return vectors.unflatten(0, frames.shape[:2])


class PaperGenerator(nn.Module):
    """G of the paper's sec. 3.1: the stickman becomes a frame of the person whose e_hat set the AdaINs.

    embedding: length of e_hat; size: of the frames; channels: the fewest and the most; bottleneck: blocks at 1/16.
    """

    textured = False

    def __init__(
        self, embedding: int = 512, size: int = 256, channels: tuple[int, int] = CHANNELS, bottleneck: int = 4
    ):
        super().__init__()
        self.size = size
        widths = _widths(channels, 4)
        down = [ResBlock(a, b, "down", styled=True, first=i == 0) for i, (a, b) in enumerate(pairwise([3, *widths]))]
        bottom = [ResBlock(widths[-1], widths[-1], styled=True) for _ in range(bottleneck)]
        up = bottom + [ResBlock(a, b, "up", styled=True) for a, b in pairwise([widths[-1], *widths[::-1]])]
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        # `widths` start at size / 2 on the way down, and end at size on the way up.
        self.down_attention = SelfAttention(widths[_halvings(size, _DOWN_ATTENTION) - 1])
        self.up_attention = SelfAttention(widths[_halvings(size, _UP_ATTENTION)])
        self.to_rgb = _normed(conv(widths[0], 3))

        # Instance norm with its learned scale and shift is an AdaIN whose style is the same for everybody.
        self.affine = nn.Parameter(torch.cat([block.plain_style() for block in down]))
        plain = torch.cat([*(block.plain_style() for block in up), _plain_style(widths[0])])
        self.project = _normed(nn.Linear(embedding, len(plain)))  # P of psi_hat = P e_hat
        with torch.no_grad():
            self.project.bias.copy_(plain)

    def forward(self, stickman: Tensor, style: Tensor, texture: None = None) -> Tensor:
        """stickman [B, 3, S, S], style [B, P] from `project(e_hat)`; returns the frame [B, 3, S, S] in [-1, 1]."""
        if texture is not None:
            raise ValueError("the paper's generator got a texture, but paints every pixel itself; pass texture=None")
        x = stickman.contiguous(memory_format=torch.channels_last)
        affine = self.affine.expand(len(x), -1)
        for block, own in zip(self.down, affine.split([b.style_size for b in self.down], 1), strict=True):
            x = block(x, own)
            if x.shape[-1] == _DOWN_ATTENTION:
                x = self.down_attention(x)
        *styles, last = style.split([*(b.style_size for b in self.up), 2 * self.to_rgb.in_channels], 1)
        for block, own in zip(self.up, styles, strict=True):
            x = block(x, own)
            if x.shape[-1] == _UP_ATTENTION:
                x = self.up_attention(x)
        return torch.tanh(self.to_rgb(F.relu(_adain(x, last))))


class PaperDiscriminator(nn.Module):
    """D of the paper's sec. 3.1, eq. 5: score = V(frame, stickman)^T w + b, after Miyato and Koyama, ICLR 2018.

    embedding: length of w, which is W_i + w0 in meta-learning and starts as e_hat + w0 in fine-tuning.
    """

    def __init__(self, embedding: int = 512, size: int = 256, channels: tuple[int, int] = CHANNELS):
        super().__init__()
        self.encoder = Encoder(embedding, size, channels, extra=1)
        self.b = nn.Parameter(torch.zeros(1))

    def forward(self, frame: Tensor, stickman: Tensor, w: Tensor) -> tuple[Tensor, list[Tensor]]:
        """frame, stickman [B, 3, S, S]; w [B, E]. Returns scores [B] and what each residual block made."""
        vector, features = self.encoder(frame, stickman)
        return (vector * w).sum(1) + self.b, features
