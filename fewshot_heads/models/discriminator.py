"""The projection discriminator with the vectors it judges by: W, one a person, and w0 (Zakharov et al., eq. 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from fewshot_heads.models.blocks import conv


class ProjectionDiscriminator(nn.Module):
    """score = V(frame, stickman)^T (W_i + w0) + b.

    discriminator: (frame, stickman, w [B, E]) -> (score, features). identities: rows of W.
    sparse: W's gradient holds only the rows of the batch, which a million people ask for (docs/training.md).
    """

    def __init__(self, discriminator: nn.Module, identities: int, embedding: int, sparse: bool = False):
        super().__init__()
        self.discriminator = discriminator
        self.W = nn.Embedding(identities, embedding, sparse=sparse)
        self.w0 = nn.Parameter(torch.empty(embedding))
        # Within 0.1, as in the authors' later code, but not negative: the paper's e_hat, which has to meet W, never is.
        nn.init.uniform_(self.W.weight, 0.0, 0.1)
        nn.init.uniform_(self.w0, -0.1, 0.1)

    def forward(self, frame: Tensor, stickman: Tensor, identity: Tensor) -> tuple[Tensor, list[Tensor]]:
        """frame, stickman [B, 3, H, W]; identity [B], rows of W. Returns scores and the discriminator's features."""
        return self.discriminator(frame, stickman, self.W(identity) + self.w0)


class PatchDiscriminator(nn.Module):
    """score = V(frame, stickman)^T w + b at every place of a coarse map.

    channels: of the stages, each at half the resolution of the one before; embedding: length of w.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128, 192), embedding: int = 256):
        super().__init__()
        widths = (6, *channels)
        self.stages = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.vector = spectral_norm(conv(channels[-1], embedding))
        self.score = spectral_norm(conv(channels[-1], 1))

    def forward(self, frame: Tensor, stickman: Tensor, w: Tensor) -> tuple[Tensor, list[Tensor]]:
        """frame, stickman [B, 3, H, W]; w [B, E]. Returns scores [B, h, w] and the stages' features."""
        x = torch.cat([frame, stickman], 1)
        features = []
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
            features.append(x)
        projection = (self.vector(x) * w[:, :, None, None]).mean(1)
        return self.score(x)[:, 0] + projection, features
