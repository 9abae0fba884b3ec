"""The network that fills the inside of an opening mouth or eye from its surroundings.

A context encoder (Pathak et al., CVPR 2016) with the skips of a U-Net. Like the generator, the network is trained
against a projection discriminator. Training needs no pairs, because each open mouth or eye is its own target.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput
from fewshot_heads.models.blocks import Down, channels_last, conv

HOLE_THRESHOLD = 0.1  # value of the hole up to which the network reads the image, which is lips or lids


class Inpainter(nn.Module):
    """A U-Net that fills a hole in a crop around a face region.

    Args:
        size: side S of the crop, pixels.
        channels: at 1/2, 1/4, ... of the resolution.

    Raises:
        BadInput: if the resolution cannot be halved for each entry of `channels`.
    """

    def __init__(self, size: int = 64, channels: tuple[int, ...] = (32, 64, 96, 128)):
        super().__init__()
        if size % 2 ** len(channels):
            raise BadInput(f"size={size}: expected a multiple of {2 ** len(channels)}, for {len(channels)} channels")
        self.size = size
        self.unet = channels_last(_UNet(channels))

    def paint(self, picture: Tensor, hole: Tensor, stickman: Tensor) -> Tensor:
        """Returns an image [B, 3, S, S], -1 to 1, to be blended into the hole.

        The network does not read the pixels in the hole. The result is defined everywhere, so that the hole can have
        a soft edge.

        Args:
            picture: [B, 3, S, S], -1 to 1.
            hole: [B, 1, S, S], 0 to 1.
            stickman: [B, 3, S, S], -1 to 1, landmarks of the face.
        """
        hidden = (hole > HOLE_THRESHOLD).to(picture.dtype)
        return self.unet(torch.cat([picture * (1 - hidden), hidden, stickman], 1))

    def forward(self, image: Tensor, hole: Tensor, stickman: Tensor) -> Tensor:
        """Returns the image [B, 3, S, S] with its hole filled.

        Args:
            image: [B, 3, S, S], -1 to 1.
            hole: [B, 1, S, S], 0 to 1.
            stickman: [B, 3, S, S], -1 to 1, landmarks of the face.
        """
        return image + hole * (self.paint(image, hole, stickman) - image)


class _UNet(nn.Module):
    """Maps [B, 7, S, S] to an image [B, 3, S, S], -1 to 1."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.stem = conv(4 * 7, channels[0])
        self.down = nn.ModuleList(Down(a, b) for a, b in zip(channels, channels[1:], strict=False))
        coarse_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.narrow = nn.ModuleList(conv(a, b, 1) for a, b in coarse_to_fine)
        self.up = nn.ModuleList(
            nn.Sequential(nn.ReLU(), conv(2 * b, b), nn.ReLU(), conv(b, b)) for _, b in coarse_to_fine
        )
        # Not a pixel_shuffle: a discriminator takes its two-pixel pattern for teeth.
        self.head = nn.Sequential(conv(channels[0], channels[0] // 2), nn.ReLU(), conv(channels[0] // 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(x, 2))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for narrow, up in zip(self.narrow, self.up, strict=True):
            x = _doubled(narrow(x))
            x = x + up(torch.cat([x, skips.pop()], 1))
        return torch.tanh(self.head(_doubled(F.relu(x))))


def _doubled(x: Tensor) -> Tensor:
    """Returns x [B, C, H, W] at twice the resolution, [B, C, 2 H, 2 W]."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
