"""The embedder of the realtime preset: from source images and stickmen to identity embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.models.blocks import Down, conv


class Embedder(nn.Module):
    """Embeds each source image; e_hat is the mean over K images.

    Zakharov et al., ICCV 2019, sec. 3.1.

    Args:
        channels: of each stage. The first stage has a quarter of the resolution, and each next stage half of the last.
        embedding: length E of e_hat.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128, 192), embedding: int = 256):
        super().__init__()
        self.stem = conv(6 * 16, channels[0])  # pixel_unshuffle keeps every pixel
        self.stages = nn.Sequential(*(Down(a, b) for a, b in zip(channels, channels[1:], strict=False)))
        self.head = nn.Linear(channels[-1], embedding)

    def forward(self, frames: Tensor, stickmen: Tensor) -> Tensor:
        """Returns the embeddings [B, K, E]; their mean over K is e_hat.

        Args:
            frames: [B, K, 3, H, W], -1 to 1, source images.
            stickmen: [B, K, 3, H, W], -1 to 1, landmarks of the images.
        """
        batch, shots = frames.shape[:2]
        x = torch.cat([frames, stickmen], 2).flatten(0, 1)
        x = self.stages(self.stem(F.pixel_unshuffle(x, 4)))
        return self.head(F.relu(x).mean((2, 3))).view(batch, shots, -1)
