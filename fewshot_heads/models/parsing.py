"""The network that parses a portrait into background, body and head.

A small U-Net (Ronneberger et al., MICCAI 2015), distilled from MediaPipe's segmenters of persons and hair and from the
face landmarks; see `datasets.parsing_labels`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput
from fewshot_heads.models.blocks import channels_last, conv

_PATCH = 4  # side of the patches that the first layer reads, pixels; edges are refined later, see `imaging.matting`


class Parser(nn.Module):
    """A U-Net from an image to the mattes of a person and of the head.

    Args:
        size: side S of the image, pixels.
        channels: at 1/4, 1/8, ... of the resolution.

    Raises:
        BadInput: if the resolution cannot be halved for each entry of `channels`.
    """

    def __init__(self, size: int = 256, channels: tuple[int, ...] = (32, 48, 64, 72)):
        super().__init__()
        multiple = _PATCH * 2 ** (len(channels) - 1)
        if size % multiple:
            raise BadInput(f"size={size}: expected a multiple of {multiple}, for {len(channels)} channels")
        self.size = size
        self.stem = _Block(_PATCH**2 * 3, channels[0])
        self.down = nn.ModuleList(
            nn.Sequential(_Block(a, b, stride=2), _Residual(b)) for a, b in zip(channels, channels[1:], strict=False)
        )
        self.context = _Context(channels[-1])
        coarse_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.narrow = nn.ModuleList(conv(a, b, 1) for a, b in coarse_to_fine)
        self.up = nn.ModuleList(_Block(2 * b, b) for _, b in coarse_to_fine)
        self.head = conv(channels[0], _PATCH**2 * 2)
        channels_last(self)

    def forward(self, image: Tensor) -> Tensor:
        """Returns logits [B, 2, S, S]: of the person, and of the head where there is a person.

        Args:
            image: [B, 3, S, S], -1 to 1.
        """
        x = self.stem(F.pixel_unshuffle(image, _PATCH))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.context(x)
        for narrow, up in zip(self.narrow, self.up, strict=True):
            x = F.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = x + up(torch.cat([x, skips.pop()], 1))
        return F.pixel_shuffle(self.head(x), _PATCH)


def mattes(logits: Tensor) -> Tensor:
    """Returns the mattes of person and head [B, 2, S, S], 0 to 1. The head is nowhere above the person.

    Args:
        logits: [B, 2, S, S], as `Parser` returns them.
    """
    person, share = torch.sigmoid(logits).split(1, 1)
    return torch.cat([person, person * share], 1)


class _Block(nn.Sequential):
    """A convolution, batch normalization and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(conv(inputs, outputs, stride=stride, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class _Residual(nn.Module):
    """A residual block."""

    def __init__(self, channels: int):
        super().__init__()
        self.refine = nn.Sequential(_Block(channels, channels), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.refine(x))


class _Context(nn.Module):
    """Adds what the whole image shows to each position (pooling as in Liu et al., "ParseNet", 2015)."""

    def __init__(self, channels: int):
        super().__init__()
        self.refine = _Residual(channels)
        self.pooled = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.refine(x)
        return F.relu(x + self.pooled(x.mean((2, 3)))[:, :, None, None])
