"""The embedder: a picture of a person and its stickman to the identity embedding e_hat."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.models.blocks import Down, conv


class Embedder(nn.Module):
    """Zakharov et al., ICCV 2019, sec. 3.1: e_hat is the mean over K pictures of E(picture, stickman).

    channels: of the stages, each at half the resolution of the one before; embedding: length of e_hat.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128, 192), embedding: int = 256):
        super().__init__()
        self.stem = conv(6 * 16, channels[0])  # the picture enters at a quarter of its size, nothing dropped
        self.stages = nn.Sequential(*(Down(a, b) for a, b in zip(channels, channels[1:], strict=False)))
        self.head = nn.Linear(channels[-1], embedding)

    def forward(self, frames: Tensor, stickmen: Tensor) -> Tensor:
        """frames, stickmen: [B, K, 3, H, W] in [-1, 1]. Returns [B, K, E]; average over K for e_hat."""
        batch, shots = frames.shape[:2]
        x = torch.cat([frames, stickmen], 2).flatten(0, 1)
        x = self.stages(self.stem(F.pixel_unshuffle(x, 4)))
        return self.head(F.relu(x).mean((2, 3))).view(batch, shots, -1)
