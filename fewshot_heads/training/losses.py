"""Loss functions of meta-learning and fine-tuning; `weighted_losses` has their sum.

Equation numbers are those of Zakharov et al., ICCV 2019. There, x is the target, x_hat the frame and y the stickman.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FACE_CROP_OVER_BOX = 1.2  # side of the face network's crop over the larger side of the landmarks' box
_FACE_CROP_PIXELS = 224


def weighted_l1(frame: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Returns the weighted mean absolute difference, averaged over three scales.

    Args:
        frame: [B, 3, H, W], -1 to 1.
        truth: [B, 3, H, W], -1 to 1, the target.
        region: [B, 1, H, W], weight of each pixel, above 0.
    """
    loss = frame.new_zeros(())
    for _ in range(3):
        # Each sample is normalized by its own weights, so that the mean over processes is the mean over samples.
        sample_losses = ((frame - truth).abs() * region).mean((1, 2, 3)) / region.mean((1, 2, 3))
        loss = loss + sample_losses.mean()
        frame, truth, region = (F.avg_pool2d(x, 2) for x in (frame, truth, region))
    return loss / 3


def feature_distance(features: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Returns the sum over layers of the mean absolute difference: sum_l mean |F_l(x_hat) - F_l(x)|.

    The terms L_CNT and L_FM of sec. 3.2 have this form.

    Args:
        features: of the frame, one tensor for each layer.
        wanted: of the target, with the same shapes.
    """
    return torch.stack([F.l1_loss(a, b) for a, b in zip(features, wanted, strict=True)]).sum()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Returns the hinge loss of the discriminator: max(0, 1 + D(x_hat)) + max(0, 1 - D(x)) (eq. 9).

    Args:
        real: scores of the target, any shape.
        fake: scores of the frame, any shape.
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """Returns the generator's adversarial term -D(x_hat) (eq. 4, first term).

    Args:
        fake: scores of the frame, any shape.
    """
    return -fake.mean()


def relativistic_loss(winner: Tensor, loser: Tensor) -> Tensor:
    """Returns the relativistic loss: log(1 + exp(loser - winner)), the mean over all scores.

    Jolicoeur-Martineau, ICLR 2019, eq. 8. Frame and target around a filled hole differ in a small part only. This loss
    depends on their difference alone.

    Args:
        winner: scores that should be higher, any shape.
        loser: scores that should be lower, the same shape.
    """
    return F.softplus(loser - winner).mean()


def match_loss(e_hat: Tensor, w: Tensor) -> Tensor:
    """Returns L_MCH, the mean absolute difference of e_hat_i and W_i (sec. 3.2).

    W is detached, as in the authors' later code. The discriminator trains the table, and the embedder follows.

    Args:
        e_hat: [B, E], embeddings.
        w: [B, E], the identities' rows of W.
    """
    return F.l1_loss(e_hat, w.detach())


def identity_loss(last: Tensor, wanted: Tensor) -> Tensor:
    """Returns 1 minus the cosine similarity of two identity embeddings.

    An embedding is the spatial mean of the last features of a face-recognition network.

    Args:
        last: features of the frame, [B, C, H, W].
        wanted: features of the target, [B, C, H, W].
    """
    return 1 - F.cosine_similarity(last.mean((2, 3)), wanted.mean((2, 3))).mean()


def generator_adversarial_loss(
    critic: nn.Module, frame: Tensor, truth: Tensor, stickman: Tensor, given: Tensor, relativistic: bool = False
) -> dict[str, Tensor]:
    """Returns the generator's terms "adversarial" and "feature_matching", before weighting.

    L_ADV = -D(x_hat, y, i) + L_FM (eq. 4). The first term may be `relativistic_loss`. The two terms have separate
    weights, and L_FM is the mean over the layers.

    Args:
        critic: network (frame, stickman, given) -> (scores, features). Its weights get no gradient here.
        frame: [B, 3, H, W], -1 to 1, with gradient.
        truth: [B, 3, H, W], -1 to 1, the target.
        stickman: [B, 3, H, W], -1 to 1.
        given: identities [B], or w [B, E] for a bare discriminator.
        relativistic: whether the scores of frame and target are compared with each other.
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
    """Returns the discriminator's loss, eq. 9 or `relativistic_loss`, without gradient to the frame.

    Args:
        critic: network (frame, stickman, given) -> (scores, features). It is called once for target and frame.
        frame: [B, 3, H, W], -1 to 1.
        truth: [B, 3, H, W], -1 to 1, the target.
        stickman: [B, 3, H, W], -1 to 1.
        given: identities [B], or w [B, E] for a bare discriminator.
        relativistic: whether the scores of frame and target are compared with each other.
    """
    scores, _ = critic(torch.cat([truth, frame.detach()]), torch.cat([stickman] * 2), torch.cat([given] * 2))
    return (relativistic_loss if relativistic else hinge_discriminator)(*scores.chunk(2))


def crop_patches(images: Tensor, corner: Tensor | None, side: int | None) -> Tensor:
    """Returns a square patch of each image, [B, C, side, side].

    Args:
        images: [B, C, H, W].
        corner: [B, 2], x and y of the patches' first pixel. None returns the complete images.
        side: side of the patches, pixels. None, or a side not below the width, returns the complete images.
    """
    if corner is None or side is None or side >= images.shape[-1]:
        return images
    patches = [image[:, y : y + side, x : x + side] for image, (x, y) in zip(images, corner.tolist(), strict=True)]
    return torch.stack(patches)


def crop_faces(images: Tensor, boxes: Tensor) -> Tensor:
    """Returns the square around each face, with a margin, [B, 3, 224, 224].

    Args:
        images: [B, 3, S, S].
        boxes: [B, 4], left, top, right and bottom of the faces, pixels.
    """
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, _FACE_CROP_OVER_BOX * (boxes[:, 2:] - boxes[:, :2]).amax(1) / 2
    size = images.shape[-1]
    theta = images.new_zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = half * 2 / size
    theta[:, :, 2] = center * 2 / size - 1
    grid = F.affine_grid(theta, [len(images), 3, _FACE_CROP_PIXELS, _FACE_CROP_PIXELS], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
