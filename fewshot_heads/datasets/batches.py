"""Training samples and batches, as named tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from fewshot_heads.models.inpainter import HOLE_THRESHOLD


class EpisodeBatch(NamedTuple):
    """Episodes: K source images of one person and a target frame.

    Zakharov et al., ICCV 2019, sec. 3.2. Images have values from -1 to 1, masks from 0 to 1. S is their side in pixels.
    A single episode has no leading B.

    Attributes:
        images: [B, K, 3, S, S], the embedder's input.
        stickmen: [B, K, 3, S, S], the landmarks of the images.
        source_index: [B], which of the K images is warped.
        views, flows, weights, confidence, background, disocclusion: of the warped image, see `WarpInputs`.
        target: [B, 3, S, S], the frame to reenact.
        stickman: [B, 3, S, S], the target's landmarks.
        regions: [B, 3, S, S], the target's eyes, the target's mouth, and the disocclusion.
        valid_mask: [B, 1, S, S], 0 or 1: where the target can be reconstructed from the images.
        face_box: [B, 4], left, top, right and bottom of the target's face, pixels.
        patch_corner: [B, 2], x and y of the patch that perceptual losses see, pixels; None for the whole frame.
        identity: [B], index of the person; None outside of meta-learning.
    """

    images: Tensor
    stickmen: Tensor
    source_index: Tensor
    views: Tensor
    flows: Tensor
    weights: Tensor
    confidence: Tensor
    background: Tensor
    disocclusion: Tensor
    target: Tensor
    stickman: Tensor
    regions: Tensor
    valid_mask: Tensor
    face_box: Tensor
    patch_corner: Tensor | None = None
    identity: Tensor | None = None

    @property
    def source(self) -> Tensor:
        """[B, 3, S, S], the image of each episode that is warped."""
        return self.images[torch.arange(len(self.images), device=self.images.device), self.source_index]


class RegionBatch(NamedTuple):
    """Crops of open mouths or eyes, with a hole to be filled.

    Attributes:
        target: [B, 3, S, S], -1 to 1, the unchanged crop.
        hole: [B, 1, S, S], 0 to 1, the inside of the region.
        stickman: [B, 3, S, S], -1 to 1, the landmarks.
        regions: [B, 3, S, S], 0 to 1, as in `EpisodeBatch`: zeros for the eyes, and the hole twice.
        valid_mask: [B, 1, S, S], 1 everywhere.
        patch_corner: [B, 2], x and y of the patch that the discriminator sees, pixels.
        identity: [B], index of the person. A mirrored person is another one.
    """

    target: Tensor
    hole: Tensor
    stickman: Tensor
    regions: Tensor
    valid_mask: Tensor
    patch_corner: Tensor
    identity: Tensor

    @property
    def source(self) -> Tensor:
        """[B, 3, S, S], the crops without the inside of the region."""
        return self.target * (self.hole <= HOLE_THRESHOLD)


class ParsingBatch(NamedTuple):
    """Portraits with the mattes of person and head.

    Attributes:
        image: [B, 3, S, S], -1 to 1.
        mattes: [B, 2, S, S], 0 to 1, person and head.
    """

    image: Tensor
    mattes: Tensor


TrainingBatch = EpisodeBatch | RegionBatch  # of the networks that make images
AnyBatch = TrainingBatch | ParsingBatch
Batch = TypeVar("Batch", bound=AnyBatch)


def collate(samples: Sequence[Batch]) -> Batch:
    """Returns samples stacked to a batch; None stays None.

    Args:
        samples: of one type, without a batch dimension.
    """
    columns = zip(*samples, strict=True)
    fields = (None if column[0] is None else torch.stack(column) for column in columns)
    return cast(Batch, type(samples[0])._make(fields))


def to_device(batch: Batch, device: torch.device | str) -> Batch:
    """Returns a batch with all tensors on a device.

    Args:
        batch: the batch.
        device: the device.
    """
    return cast(Batch, type(batch)._make(None if tensor is None else tensor.to(device) for tensor in batch))


def first_samples(batch: Batch, count: int) -> Batch:
    """Returns the first samples of a batch.

    Args:
        batch: the batch.
        count: largest number of samples.
    """
    return cast(Batch, type(batch)._make(None if tensor is None else tensor[:count] for tensor in batch))
