"""The network that fills the inside of an opening mouth or eye from its surroundings.

A context encoder (Pathak et al., CVPR 2016) with the skips of a U-Net. Like the generator, the network is trained
against a projection discriminator. Training needs no pairs, because each open mouth or eye is its own target.

A closed mouth does not tell what its teeth look like, so a network that sees the surroundings alone learns the mean of
all teeth, which is a blur. Therefore each person of the training data has a vector that is learned along with the
network (Bojanowski et al., "Optimizing the Latent Space of Generative Networks", ICML 2018). It modulates the features
(Perez et al., "FiLM", AAAI 2018). The network itself keeps one vector, the center of all people's, or another
one that is nobody's (`benchmarks.studies.person`).
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
        embedding: length E of the vector of a person.

    Attributes:
        person: [E], whose mouth or eyes the network fills in.
        people: [N, E], how each person of the training data differs from `person`. Only a training run has this table.

    Raises:
        BadInput: if the resolution cannot be halved for each entry of `channels`.
    """

    def __init__(self, size: int = 64, channels: tuple[int, ...] = (32, 64, 96, 128), embedding: int = 32):
        super().__init__()
        if size % 2 ** len(channels):
            raise BadInput(f"size={size}: expected a multiple of {2 ** len(channels)}, for {len(channels)} channels")
        self.size = size
        self.person = nn.Parameter(torch.zeros(embedding))
        self.people: nn.Embedding | None = None
        self.unet = channels_last(_UNet(channels, embedding))

    def paint(self, picture: Tensor, hole: Tensor, stickman: Tensor, identity: Tensor | None = None) -> Tensor:
        """Returns an image [B, 3, S, S], -1 to 1, to be blended into the hole.

        The network does not read the pixels in the hole. The result is defined everywhere, so that the hole can have
        a soft edge.

        Args:
            picture: [B, 3, S, S], -1 to 1.
            hole: [B, 1, S, S], 0 to 1.
            stickman: [B, 3, S, S], -1 to 1, landmarks of the face.
            identity: [B], rows of `people`. None takes `person`.
        """
        hidden = (hole > HOLE_THRESHOLD).to(picture.dtype)
        person = self.person[None]
        if self.people is not None and identity is not None:
            person = person + self.people(identity)
        return self.unet(torch.cat([picture * (1 - hidden), hidden, stickman], 1), person)

    def forward(self, image: Tensor, hole: Tensor, stickman: Tensor, identity: Tensor | None = None) -> Tensor:
        """Returns the image [B, 3, S, S] with its hole filled.

        Args:
            image: [B, 3, S, S], -1 to 1.
            hole: [B, 1, S, S], 0 to 1.
            stickman: [B, 3, S, S], -1 to 1, landmarks of the face.
            identity: as in `paint`.
        """
        return image + hole * (self.paint(image, hole, stickman, identity) - image)


class _UNet(nn.Module):
    """Maps an image [B, 7, S, S] and a person's vector [1 or B, E] to an image [B, 3, S, S], -1 to 1."""

    def __init__(self, channels: tuple[int, ...], embedding: int):
        super().__init__()
        self.stem = conv(4 * 7, channels[0])
        self.down = nn.ModuleList(Down(a, b) for a, b in zip(channels, channels[1:], strict=False))
        self.shift = nn.Linear(embedding, channels[-1])
        coarse_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.narrow = nn.ModuleList(conv(a, b, 1) for a, b in coarse_to_fine)
        self.up = nn.ModuleList(_Up(b, embedding) for _, b in coarse_to_fine)
        # Not a pixel_shuffle: a discriminator takes its two-pixel pattern for teeth.
        self.head = nn.Sequential(conv(channels[0], channels[0] // 2), nn.ReLU(), conv(channels[0] // 2, 3))

    def forward(self, x: Tensor, person: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(x, 2))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = x + self.shift(person)[..., None, None]
        for narrow, up in zip(self.narrow, self.up, strict=True):
            x = up(_doubled(narrow(x)), skips.pop(), person)
        return torch.tanh(self.head(_doubled(F.relu(x))))


class _Up(nn.Module):
    """A residual block that sees a skip, and whose features a person's vector scales and shifts."""

    def __init__(self, channels: int, embedding: int):
        super().__init__()
        self.conv1, self.conv2 = conv(2 * channels, channels), conv(channels, channels)
        self.modulation = nn.Linear(embedding, 4 * channels)
        # At the start all people look much the same. `normal_` would import the compiler where weights are loaded.
        nn.init.uniform_(self.modulation.weight, -0.087, 0.087)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, skip: Tensor, person: Tensor) -> Tensor:
        scale1, shift1, scale2, shift2 = self.modulation(person)[..., None, None].chunk(4, 1)
        h = self.conv1(F.relu(torch.cat([x, skip], 1)))
        h = self.conv2(F.relu(h * (1 + scale1) + shift1))
        return x + h * (1 + scale2) + shift2


def _doubled(x: Tensor) -> Tensor:
    """Returns x [B, C, H, W] at twice the resolution, [B, C, 2 H, 2 W]."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
