"""The projection discriminator with the vectors it judges by: W, one a person, and w0 (Zakharov et al., eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Critic(nn.Module):
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
