"""The networks of Zakharov et al., ICCV 2019, as published: embedder, generator and projection discriminator.

The paper (sec. 3.4) fixes these points:

- Residual blocks halve or double the resolution around blocks that keep the resolution. They have 64 to 512 channels.
- Self-attention is at 32x32 in the downsampling part and at 64x64 in the upsampling part.
- The generator has instance norm in its downsampling part and AdaIN after it. Every layer has spectral norm. E = 512.
- Embedder, generator and discriminator have 15, 38 and 20 million parameters.

The paper leaves other points open. They are chosen so that all totals come out: 14.9, 38.1 and 19.6 million parameters,
and 93 GFLOP a frame with 2 for a multiply-add. Where the authors' later code decides a point, the choice follows it.

- A shortcut is a 1x1 convolution whenever channels or resolution change.
- The generator halves four times, has four blocks at 1/16 of the resolution, and doubles four times. One block at 1/16
  more or less is 5.8 million parameters. An upsampling block has twice the channels of the downsampling block of its
  resolution, 512 at most.
- Upsampling is nearest. Keys and values of the self-attention have half the resolution.
- Every norm of the upsampling part takes 2 numbers a channel from P, 13,056 in all. P has a bias, because every scale
  would otherwise start near 0. A convolution before a norm has no bias. All weights start orthogonal.

One point differs from the paper. Embedder and discriminator pool by ReLU, then the mean (see `Encoder.forward`). The
paper takes the sum, then ReLU.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.models.blocks import conv
from fewshot_heads.models.paper_blocks import (
    CHANNELS,
    ResBlock,
    SelfAttention,
    apply_style,
    block_channels,
    count_halvings,
    normalized,
    plain_style,
)

_DOWN_ATTENTION_PIXELS, _UP_ATTENTION_PIXELS = 32, 64  # resolutions at which self-attention stands


class Encoder(nn.Module):
    """The common part of embedder and discriminator: from frame and stickman to a vector.

    Blocks without a norm halve the resolution down to 4x4.

    Args:
        embedding: length E of the vector.
        size: side S of the frames, pixels.
        channels: fewest and most channels.
        extra: number of further blocks at 4x4.
    """

    def __init__(self, embedding: int, size: int, channels: tuple[int, int], extra: int = 0):
        super().__init__()
        halvings = count_halvings(size, 4)
        widths = block_channels(channels, halvings + extra)
        pairs = pairwise([6, *widths[:-1], embedding])
        self.blocks = nn.ModuleList(
            ResBlock(a, b, resize="down" if i < halvings else "", first=i == 0) for i, (a, b) in enumerate(pairs)
        )
        self._attends_after = count_halvings(size, _DOWN_ATTENTION_PIXELS) - 1
        self.attention = SelfAttention(widths[self._attends_after])

    def forward(self, frame: Tensor, stickman: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Returns the vector [B, E] and the features of each block.

        Args:
            frame: [B, 3, S, S], -1 to 1, or a patch of it.
            stickman: [B, 3, S, S], -1 to 1, or the same patch of it.
        """
        x = torch.cat([frame, stickman], 1).contiguous(memory_format=torch.channels_last)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            features.append(x)
            if i == self._attends_after:
                x = self.attention(x)
        # The paper takes the sum, then ReLU. With that order, the match loss made every unit 0 for all images. The mean
        # equals the sum up to a constant, and its first scores lie within the margin of the hinge loss.
        return F.relu(x).mean((2, 3)), features


class PaperEmbedder(nn.Module):
    """The paper's embedder: e_hat is the mean over K images of E(image, stickman) (sec. 3.1).

    Args:
        embedding: length E of e_hat.
        size: side S of the images, pixels.
        channels: fewest and most channels.
    """

    def __init__(self, embedding: int = 512, size: int = 256, channels: tuple[int, int] = CHANNELS):
        super().__init__()
        self.encoder = Encoder(embedding, size, channels)

    def forward(self, frames: Tensor, stickmen: Tensor) -> Tensor:
        """Returns the embeddings [B, K, E]; their mean over K is e_hat.

        Args:
            frames: [B, K, 3, S, S], -1 to 1, source images.
            stickmen: [B, K, 3, S, S], -1 to 1, landmarks of the images.
        """
        vectors, _ = self.encoder(frames.flatten(0, 1), stickmen.flatten(0, 1))
        return vectors.unflatten(0, frames.shape[:2])


class PaperGenerator(nn.Module):
    """The paper's generator: from a stickman and a style to a frame (sec. 3.1).

    Args:
        embedding: length E of e_hat.
        size: side S of the frames, pixels.
        channels: fewest and most channels.
        bottleneck: number of blocks at 1/16 of the resolution.
    """

    textured = False

    def __init__(
        self, embedding: int = 512, size: int = 256, channels: tuple[int, int] = CHANNELS, bottleneck: int = 4
    ):
        super().__init__()
        self.size = size
        widths = block_channels(channels, 4)
        down = [ResBlock(a, b, "down", styled=True, first=i == 0) for i, (a, b) in enumerate(pairwise([3, *widths]))]
        bottom = [ResBlock(widths[-1], widths[-1], styled=True) for _ in range(bottleneck)]
        up = bottom + [ResBlock(a, b, "up", styled=True) for a, b in pairwise([widths[-1], *widths[::-1]])]
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        # `widths` start at size / 2 in the downsampling part and end at size in the upsampling part.
        self.down_attention = SelfAttention(widths[count_halvings(size, _DOWN_ATTENTION_PIXELS) - 1])
        self.up_attention = SelfAttention(widths[count_halvings(size, _UP_ATTENTION_PIXELS)])
        self.to_rgb = normalized(conv(widths[0], 3))

        # Instance norm with a learned scale and shift is an AdaIN with the same style for all identities.
        self.affine = nn.Parameter(torch.cat([block.plain_style() for block in down]))
        plain = torch.cat([*(block.plain_style() for block in up), plain_style(widths[0])])
        self.project = normalized(nn.Linear(embedding, len(plain)))  # P of psi_hat = P e_hat
        with torch.no_grad():
            self.project.bias.copy_(plain)

    def forward(self, stickman: Tensor, style: Tensor, texture: None = None) -> Tensor:
        """Returns the frame [B, 3, S, S], -1 to 1.

        Args:
            stickman: [B, 3, S, S], -1 to 1, landmarks of the frame.
            style: [B, P], `project(e_hat)`.
            texture: None, because the network synthesizes every pixel.
        """
        if texture is not None:
            raise ValueError("the paper's generator got a texture, but paints every pixel itself; pass texture=None")
        x = stickman.contiguous(memory_format=torch.channels_last)
        affine = self.affine.expand(len(x), -1)
        for block, block_affine in zip(self.down, affine.split([b.style_size for b in self.down], 1), strict=True):
            x = block(x, block_affine)
            if x.shape[-1] == _DOWN_ATTENTION_PIXELS:
                x = self.down_attention(x)
        *styles, last = style.split([*(b.style_size for b in self.up), 2 * self.to_rgb.in_channels], 1)
        for block, block_style in zip(self.up, styles, strict=True):
            x = block(x, block_style)
            if x.shape[-1] == _UP_ATTENTION_PIXELS:
                x = self.up_attention(x)
        return torch.tanh(self.to_rgb(F.relu(apply_style(x, last))))


class PaperDiscriminator(nn.Module):
    """The paper's discriminator: D = V(frame, stickman)^T w + b (eq. 5; Miyato and Koyama, ICLR 2018).

    In meta-learning w = W_i + w0. In fine-tuning w starts as e_hat + w0.

    Args:
        embedding: length E of w.
        size: side S of the frames, pixels.
        channels: fewest and most channels.
    """

    def __init__(self, embedding: int = 512, size: int = 256, channels: tuple[int, int] = CHANNELS):
        super().__init__()
        self.encoder = Encoder(embedding, size, channels, extra=1)
        self.b = nn.Parameter(torch.zeros(1))

    def forward(self, frame: Tensor, stickman: Tensor, w: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Returns the scores [B] and the features of each block.

        Args:
            frame: [B, 3, S, S], -1 to 1, or a patch of it.
            stickman: [B, 3, S, S], -1 to 1, or the same patch of it.
            w: [B, E].
        """
        vector, features = self.encoder(frame, stickman)
        return (vector * w).sum(1) + self.b, features
