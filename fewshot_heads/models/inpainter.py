"""Paints what lies inside a mouth or an eye that opens, from all that is around the hole.

A context encoder (Pathak et al., CVPR 2016) with the skips of a U-Net, trained against a projection discriminator like
the generator. It needs no pairs: anything open, cut out, is a truth.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput
from fewshot_heads.models.blocks import Down, channels_last, conv

HOLE_THRESHOLD = 0.1  # of the hole's soft edge: up to there the picture is seen, which is lips or lids


class Inpainter(nn.Module):
    """size: pixels of the square around a part; channels: at 1/2, 1/4, ... of it. Raises BadInput for other sizes."""

    def __init__(self, size: int = 64, channels: tuple[int, ...] = (32, 64, 96, 128)):
        super().__init__()
        if size % 2 ** len(channels):
            raise BadInput(f"size={size}: expected a multiple of {2 ** len(channels)}, for {len(channels)} channels")
        self.size = size
        self.unet = channels_last(_UNet(channels))

    def paint(self, picture: Tensor, hole: Tensor, stickman: Tensor) -> Tensor:
        """What belongs in the hole [B, 1, S, S], 0 to 1 with a soft edge, of a picture [B, 3, S, S] in [-1, 1].

        Painted everywhere, [B, 3, S, S] in [-1, 1], to be laid over the picture by the hole; of the picture nothing is
        seen there. stickman [B, 3, S, S]: the face's.
        """
        hidden = (hole > HOLE_THRESHOLD).to(picture.dtype)
        return self.unet(torch.cat([picture * (1 - hidden), hidden, stickman], 1))

    def forward(self, image: Tensor, hole: Tensor, stickman: Tensor) -> Tensor:
        """The image [B, 3, S, S] with its hole inpainted; see `paint`."""
        return image + hole * (self.paint(image, hole, stickman) - image)


class _UNet(nn.Module):
    """[B, 7, S, S] to [B, 3, S, S] in [-1, 1]."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.stem = conv(4 * 7, channels[0])
        self.down = nn.ModuleList(Down(a, b) for a, b in zip(channels, channels[1:], strict=False))
        coarse_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.narrow = nn.ModuleList(conv(a, b, 1) for a, b in coarse_to_fine)
        self.up = nn.ModuleList(
            nn.Sequential(nn.ReLU(), conv(2 * b, b), nn.ReLU(), conv(b, b)) for _, b in coarse_to_fine
        )
        # Not a pixel_shuffle: its pattern of two pixels is what passes for teeth first.
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
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
