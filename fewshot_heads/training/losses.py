"""Training criteria: small functions that cite their equation, put together by a named, weighted table.

Equations are those of Zakharov et al., ICCV 2019. Perceptual terms are in the units of pictures from 0 to 255, for
which the paper's weights are meant, whatever the network's own scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.datasets.batches import EpisodeBatch, TrainingBatch
from fewshot_heads.errors import BadInput
from fewshot_heads.models.blocks import channels_last

_FACE_MARGIN = 1.2  # of the picture the face network sees, over the box of the landmarks
_FACE_SIZE = 224

LossConfig = Mapping[str, Mapping[str, Any]]


def weighted_l1(frame: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Mean absolute difference at three scales, frame and truth [B, 3, H, W], region weights [B, 1, H, W]."""
    loss = frame.new_zeros(())
    for _ in range(3):
        # Each sample by its own weight, so that the mean over processes is the mean over samples.
        shares = ((frame - truth).abs() * region).mean((1, 2, 3)) / region.mean((1, 2, 3))
        loss = loss + shares.mean()
        frame, truth, region = (F.avg_pool2d(x, 2) for x in (frame, truth, region))
    return loss / 3


def feature_distance(features: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Sum over layers of the mean absolute difference (sec. 3.2, L_CNT and L_FM)."""
    return torch.stack([F.l1_loss(a, b) for a, b in zip(features, wanted, strict=True)]).sum()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Eq. 9; scores of any shape."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """Eq. 4, first term."""
    return -fake.mean()


def relativistic_loss(winner: Tensor, loser: Tensor) -> Tensor:
    """How far one score is from being above the other at every place; scores of any shape.

    Jolicoeur-Martineau, ICLR 2019, eq. 8: where real and fake differ in a small part only, as around a filled hole,
    the difference is judged and not the rest.
    """
    return F.softplus(loser - winner).mean()


def match_loss(e_hat: Tensor, w: Tensor) -> Tensor:
    """L_MCH: the L1 distance of e_hat_i and W_i, both [B, E], as a mean over their entries (sec. 3.2).

    W is detached, as in the authors' later code: the embedder follows the table, the discriminator makes it.
    """
    return F.l1_loss(e_hat, w.detach())


def identity_loss(last: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine of two embeddings, the means over space of a face network's last features [B, C, H, W]."""
    return 1 - F.cosine_similarity(last.mean((2, 3)), wanted.mean((2, 3))).mean()


def generator_adversarial_loss(
    critic: nn.Module, frame: Tensor, truth: Tensor, stickman: Tensor, given: Tensor, relativistic: bool = False
) -> dict[str, Tensor]:
    """The generator's adversarial terms: L_ADV of eq. 4, or `relativistic_loss`, with feature matching L_FM apart.

    critic: (frame, stickman, given) -> (score, features); it is frozen meanwhile. relativistic: frame and truth are
    judged
    against each other.
    """
    critic.requires_grad_(False)
    score, features = critic(frame, stickman, given)
    with torch.no_grad():
        real, wanted = critic(truth, stickman, given)
    critic.requires_grad_(True)
    matching = feature_distance(features, wanted) / len(features)
    adversarial = relativistic_loss(score, real) if relativistic else hinge_generator(score)
    return {"adversarial": adversarial, "feature_matching": matching}


def discriminator_loss(
    critic: nn.Module, frame: Tensor, truth: Tensor, stickman: Tensor, given: Tensor, relativistic: bool = False
) -> Tensor:
    """The discriminator's loss, eq. 9 or `relativistic_loss`, for a frame without history.

    Truth and frame go through in one call.
    """
    scores, _ = critic(torch.cat([truth, frame.detach()]), torch.cat([stickman] * 2), torch.cat([given] * 2))
    return (relativistic_loss if relativistic else hinge_discriminator)(*scores.chunk(2))


def crop_patches(images: Tensor, corner: Tensor | None, side: int | None) -> Tensor:
    """The side x side squares of images [B, C, H, W] that begin at corner [B, 2] (x, y); None is the whole."""
    if corner is None or side is None or side >= images.shape[-1]:
        return images
    cut = [image[:, y : y + side, x : x + side] for image, (x, y) in zip(images, corner.tolist(), strict=True)]
    return torch.stack(cut)


def crop_faces(images: Tensor, boxes: Tensor) -> Tensor:
    """The faces [B, 3, 224, 224] of images [B, 3, S, S]: squares around boxes [B, 4] (pixels), with a margin."""
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, _FACE_MARGIN * (boxes[:, 2:] - boxes[:, :2]).amax(1) / 2
    size = images.shape[-1]
    theta = images.new_zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = half * 2 / size
    theta[:, :, 2] = center * 2 / size - 1
    grid = F.affine_grid(theta, [len(images), 3, _FACE_SIZE, _FACE_SIZE], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


class WeightedLosses(nn.Module):
    """The terms of a table (conf/criterion), each {"weight": w, ...}; a weight of 0 leaves a term out.

    l1: `eyes`, `mouth` and `disoccluded` are what these regions count beyond 1. adversarial: `relativistic` judges
    frame and truth
    against each other (`relativistic_loss`), not each alone (hinge). vgg19 and vggface: `weights` names the
    network (see `extractors`); identity looks through vggface's. Raises BadInput for a network without weights or of
    the wrong kind.
    """

    def __init__(self, table: LossConfig, patch: int | None = None):
        super().__init__()
        from fewshot_heads.features.faceres import FaceFeatures
        from fewshot_heads.features.vgg19 import VGG19Features

        self.table, self.patch_size = table, patch
        self.networks = nn.ModuleDict()
        if self.weight("vgg19"):
            self.networks["vgg19"] = channels_last(VGG19Features(table["vgg19"]["weights"]))
        if looking := [name for name in ("vggface", "identity") if self.weight(name)]:
            weights = table.get("vggface", {}).get("weights")
            if not weights:
                raise BadInput(
                    "criterion.vggface has no weights of its own: name a file (criterion.vggface.weights=FILE.npz) or "
                    f"leave out what needs it ({' '.join(f'criterion.{name}.weight=0' for name in looking)})"
                )
            self.networks["vggface"] = FaceFeatures(weights)
        self.requires_grad_(False).eval()

    def weight(self, name: str) -> float:
        """0 for a term the table does not have."""
        return float(self.table.get(name, {}).get("weight", 0.0))

    @property
    def relativistic(self) -> bool:
        """Whether the discriminator judges frame and truth against each other."""
        return bool(self.table.get("adversarial", {}).get("relativistic", False))

    def crop_patch(self, images: Tensor, batch: TrainingBatch) -> Tensor:
        """The part of images [B, C, S, S] that perceptual and adversarial terms see: the patch, if there is one."""
        return crop_patches(images, batch.patch_corner, self.patch_size)

    def reconstruction_terms(self, frame: Tensor, batch: TrainingBatch) -> dict[str, Tensor]:
        """Terms that compare a frame [B, 3, S, S] with the driver of its batch, where that is to be trusted."""
        truth, terms = torch.where(batch.valid_mask > 0, batch.target, frame.detach()), {}
        if self.weight("l1"):
            entry = self.table["l1"]
            region = 1 + sum(
                entry.get(name, 0.0) * mask
                for name, mask in zip(("eyes", "mouth", "disoccluded"), batch.regions.split(1, 1), strict=True)
            )
            terms["l1"] = weighted_l1(frame, truth, region)
        if "vgg19" in self.networks:
            seen, real = (self.crop_patch(x, batch) for x in (frame, truth))
            terms["vgg19"] = _distance(self.networks["vgg19"], *_features(self.networks["vgg19"], seen, real))
        if "vggface" in self.networks and isinstance(batch, EpisodeBatch):
            seen, real = (crop_faces(x, batch.face_box) for x in (frame, truth))
            features, wanted = _features(self.networks["vggface"], seen, real)
            if self.weight("vggface"):
                terms["vggface"] = _distance(self.networks["vggface"], features, wanted)
            if self.weight("identity"):
                terms["identity"] = identity_loss(features[-1], wanted[-1])
        return terms

    def total(self, terms: Mapping[str, Tensor], step: int) -> Tensor:
        """The weighted sum. Raises FloatingPointError naming the terms that are not finite."""
        total = torch.stack([self.weight(name) * term for name, term in terms.items()]).sum()
        if not torch.isfinite(total):
            bad = [name for name, term in terms.items() if not torch.isfinite(term)]
            raise FloatingPointError(f"step {step}: {', '.join(bad)} is not finite; lower optim.lr or its weight")
        return total


def _features(network: nn.Module, frame: Tensor, truth: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """A frozen network's features of both; gradients reach the frame only."""
    with torch.no_grad():
        wanted = network(truth)
    return network(frame), wanted


def _distance(network: Any, features: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """In the units of pictures from 0 to 255."""
    return network.unit * feature_distance(features, wanted)
