"""Runs the networks on a training batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fewshot_heads.datasets.batches import AnyBatch, EpisodeBatch, ParsingBatch, RegionBatch
from fewshot_heads.imaging.compositing import WarpInputs
from fewshot_heads.models.parsing import mattes


def warp_inputs(batch: EpisodeBatch) -> WarpInputs:
    """Returns the views of the source images of a batch with the flows to its targets.

    Args:
        batch: episodes.
    """
    return WarpInputs(batch.views, batch.flows, batch.weights, batch.confidence, batch.background, batch.disocclusion)


def predict(networks: nn.Module, batch: AnyBatch) -> tuple[Tensor, Tensor | None]:
    """Returns the frame [B, 3, S, S] and e_hat [B, E], which is None for an inpainter.

    Of a parsing network, the first result are its logits [B, 2, S, S].

    Args:
        networks: `Networks`, `Inpainter` or `Parser`, possibly inside the wrapper of a distributed run.
        batch: `EpisodeBatch` for `Networks`, `RegionBatch` for `Inpainter`, `ParsingBatch` for `Parser`, on the device
            of the networks.
    """
    if isinstance(batch, ParsingBatch):
        return networks(batch.image), None
    if isinstance(batch, RegionBatch):
        # Held-out people have no row in the table, and averaged weights show what is to be shipped.
        known = batch.identity if networks.training else None
        return networks(batch.target, batch.hole, batch.stickman, known), None
    generator: Any = getattr(networks, "module", networks).generator
    texture = warp_inputs(batch) if generator.textured else None
    return networks(batch.images, batch.stickmen, batch.stickman, texture)


def grid_rows(networks: nn.Module, batch: AnyBatch) -> list[Tensor]:
    """Returns what a grid of samples shows, each [B, 3, S, S], -1 to 1.

    The rows are source, stickman, frame and target. Of a parsing network, the rows are the image, the head and body
    that the network finds, and those of the label.

    Args:
        networks: as in `predict`.
        batch: as in `predict`.
    """
    frames, _ = predict(networks, batch)
    if isinstance(batch, ParsingBatch):
        found = mattes(frames)
        return [batch.image, *(x[:, c, None] * (batch.image + 1) - 1 for x in (found, batch.mattes) for c in (1, 0))]
    return [batch.source, batch.stickman, frames, batch.target]
