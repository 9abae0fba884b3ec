"""The weighted sum of losses that a table of settings describes (conf/criterion).

Perceptual losses have the scale of images from 0 to 255, because the weights of Zakharov et al., ICCV 2019, are meant
for that scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fewshot_heads.datasets.batches import EpisodeBatch, TrainingBatch
from fewshot_heads.errors import BadInput
from fewshot_heads.models.blocks import channels_last
from fewshot_heads.training.losses import crop_faces, crop_patches, feature_distance, identity_loss, weighted_l1

LossConfig = Mapping[str, Mapping[str, Any]]


class WeightedLosses(nn.Module):
    """The weighted sum of the losses in a table (conf/criterion).

    Each entry has a `weight`, and 0 leaves the loss out. Some entries have more keys:

    - `l1`: `eyes`, `mouth` and `disoccluded` are added to the weight 1 of the pixels in these regions.
    - `adversarial`: `relativistic` replaces the hinge loss by `relativistic_loss`.
    - `vgg19` and `vggface`: `weights` names the file of the network. `identity` uses the network of `vggface`.

    Args:
        table: name of the loss to its entry.
        patch_size: side of the patch that perceptual and adversarial losses see, pixels; None for the whole frame.

    Raises:
        BadInput: a network without weights, or with weights of another kind.
    """

    def __init__(self, table: LossConfig, patch_size: int | None = None):
        super().__init__()
        from fewshot_heads.features.faceres import FaceFeatures
        from fewshot_heads.features.vgg19 import VGG19Features

        self.table, self.patch_size = table, patch_size
        self.networks = nn.ModuleDict()
        if self.weight("vgg19"):
            self.networks["vgg19"] = channels_last(VGG19Features(table["vgg19"]["weights"]))
        if face_losses := [name for name in ("vggface", "identity") if self.weight(name)]:
            weights = table.get("vggface", {}).get("weights")
            if not weights:
                raise BadInput(
                    "criterion.vggface has no weights of its own; name a file (criterion.vggface.weights=FILE.npz) or "
                    f"leave out what needs it ({' '.join(f'criterion.{name}.weight=0' for name in face_losses)})"
                )
            self.networks["vggface"] = FaceFeatures(weights)
        self.requires_grad_(False).eval()

    def weight(self, name: str) -> float:
        """Returns the weight of a loss, 0 for a loss outside the table.

        Args:
            name: key of the table.
        """
        return float(self.table.get(name, {}).get("weight", 0.0))

    @property
    def relativistic(self) -> bool:
        """Whether the scores of frame and target are compared with each other."""
        return bool(self.table.get("adversarial", {}).get("relativistic", False))

    def crop_patch(self, images: Tensor, batch: TrainingBatch) -> Tensor:
        """Returns what perceptual and adversarial losses see: the patch, or the images.

        Args:
            images: [B, C, S, S].
            batch: the batch with the patch's position.
        """
        return crop_patches(images, batch.patch_corner, self.patch_size)

    def reconstruction_terms(self, frame: Tensor, batch: TrainingBatch) -> dict[str, Tensor]:
        """Returns the unweighted losses between a frame and its target.

        These are L1, L_CNT (sec. 3.2) and the identity loss. Pixels outside the valid mask are not compared.

        Args:
            frame: [B, 3, S, S], -1 to 1.
            batch: the batch of the frame, with the target.
        """
        truth, terms = torch.where(batch.valid_mask > 0, batch.target, frame.detach()), {}
        if self.weight("l1"):
            entry = self.table["l1"]
            region = 1 + sum(
                entry.get(name, 0.0) * mask
                for name, mask in zip(("eyes", "mouth", "disoccluded"), batch.regions.split(1, 1), strict=True)
            )
            terms["l1"] = weighted_l1(frame, truth, region)
        if "vgg19" in self.networks:
            fake, real = (self.crop_patch(x, batch) for x in (frame, truth))
            terms["vgg19"] = _distance(self.networks["vgg19"], *_features(self.networks["vgg19"], fake, real))
        if "vggface" in self.networks and isinstance(batch, EpisodeBatch):
            fake, real = (crop_faces(x, batch.face_box) for x in (frame, truth))
            features, wanted = _features(self.networks["vggface"], fake, real)
            if self.weight("vggface"):
                terms["vggface"] = _distance(self.networks["vggface"], features, wanted)
            if self.weight("identity"):
                terms["identity"] = identity_loss(features[-1], wanted[-1])
        return terms

    def total(self, terms: Mapping[str, Tensor], step: int) -> Tensor:
        """Returns the weighted sum of losses.

        Args:
            terms: losses before weighting, by name.
            step: number of the step, for the error message.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        total = torch.stack([self.weight(name) * term for name, term in terms.items()]).sum()
        if not torch.isfinite(total):
            bad = [name for name, term in terms.items() if not torch.isfinite(term)]
            raise FloatingPointError(f"step {step}: {', '.join(bad)} is not finite; lower optim.lr or its weight")
        return total


def _features(network: nn.Module, frame: Tensor, truth: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the features of frame and target; only those of the frame have a gradient."""
    with torch.no_grad():
        wanted = network(truth)
    return network(frame), wanted


def _distance(network: Any, features: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Returns the feature distance on the scale of images from 0 to 255."""
    return network.unit * feature_distance(features, wanted)
