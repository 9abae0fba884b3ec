"""The projection discriminator with its identity table W and shared vector w0.

Zakharov et al., ICCV 2019, eq. 5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from fewshot_heads.models.blocks import conv


class ProjectionDiscriminator(nn.Module):
    """Scores frames of the identities in a table: D = V(frame, stickman)^T (W_i + w0) + b (eq. 5).

    Args:
        discriminator: network (frame, stickman, w [B, E]) -> (scores, features).
        identities: rows of W.
        embedding: length E of a row.
        sparse: whether the gradient of W holds only the rows of the batch. A table of a million people needs this
            (docs/training.md).
    """

    def __init__(self, discriminator: nn.Module, identities: int, embedding: int, sparse: bool = False):
        super().__init__()
        self.discriminator = discriminator
        self.W = nn.Embedding(identities, embedding, sparse=sparse)
        self.w0 = nn.Parameter(torch.empty(embedding))
        # The range is that of the authors' later code. W is not negative, because the paper's e_hat never is, and the
        # match loss brings the two together.
        nn.init.uniform_(self.W.weight, 0.0, 0.1)
        nn.init.uniform_(self.w0, -0.1, 0.1)

    def forward(self, frame: Tensor, stickman: Tensor, identity: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Returns the scores and the features of the discriminator.

        Args:
            frame: [B, 3, H, W], -1 to 1.
            stickman: [B, 3, H, W], -1 to 1.
            identity: [B], rows of W.
        """
        return self.discriminator(frame, stickman, self.W(identity) + self.w0)


class PatchDiscriminator(nn.Module):
    """Scores each position of a coarse map: D = V(frame, stickman)^T w + b (eq. 5).

    Args:
        channels: of each stage. Each stage halves the resolution.
        embedding: length E of w.
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
        """Returns the scores [B, h, w] and the features of all stages.

        Args:
            frame: [B, 3, H, W], -1 to 1.
            stickman: [B, 3, H, W], -1 to 1.
            w: [B, E].
        """
        x = torch.cat([frame, stickman], 1)
        features = []
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
            features.append(x)
        projection = (self.vector(x) * w[:, :, None, None]).mean(1)
        return self.score(x)[:, 0] + projection, features
