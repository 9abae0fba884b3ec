"""Runs the networks on a training batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fewshot_heads.datasets.batches import EpisodeBatch, RegionBatch, TrainingBatch
from fewshot_heads.models.compositing import WarpInputs


def warp_inputs(batch: EpisodeBatch) -> WarpInputs:
    """Returns the views of the source images of a batch with the flows to its targets.

    Args:
        batch: episodes.
    """
    return WarpInputs(batch.views, batch.flows, batch.weights, batch.confidence, batch.background, batch.disocclusion)


def predict(networks: nn.Module, batch: TrainingBatch, use_texture: bool = True) -> tuple[Tensor, Tensor | None]:
    """Returns the frame [B, 3, S, S] and e_hat [B, E], which is None for an inpainter.

    Args:
        networks: `Networks` or `Inpainter`, possibly inside the wrapper of a distributed run.
        batch: `EpisodeBatch` for `Networks`, `RegionBatch` for `Inpainter`, on the device of the networks.
        use_texture: False synthesizes the frame from e_hat alone.
    """
    if isinstance(batch, RegionBatch):
        return networks(batch.target, batch.hole, batch.stickman), None
    generator: Any = getattr(networks, "module", networks).generator
    texture = warp_inputs(batch) if use_texture and generator.textured else None
    return networks(batch.images, batch.stickmen, batch.stickman, texture)
