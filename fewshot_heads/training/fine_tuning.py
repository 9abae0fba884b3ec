"""Stage two: fine-tunes the generator for one person from a few images.

Zakharov et al., ICCV 2019, sec. 3.3.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import cv2
import numpy as np
import torch

from fewshot_heads.datasets.clips import Footage
from fewshot_heads.head import Head
from fewshot_heads.models.checkpoint import Checkpoint, load_discriminator
from fewshot_heads.training.head_tuner import FineTuningConfig, tune
from fewshot_heads.training.weighted_losses import LossConfig, WeightedLosses

# These losses need no download: L1, and the adversarial losses if the checkpoint has its discriminator. They equal
# conf/criterion/fine_tune.yaml, which a test checks. The library therefore needs no configuration files.
DEFAULT_LOSSES: LossConfig = {
    "l1": {"weight": 10.0, "eyes": 5.0, "mouth": 1.0, "disoccluded": 0.0},
    "vgg19": {"weight": 0.0, "weights": "torchvision"},
    "vggface": {"weight": 0.0, "weights": None},
    "identity": {"weight": 0.0},
    "adversarial": {"weight": 0.05, "relativistic": False},
    "feature_matching": {"weight": 0.5},
    "match": {"weight": 0.0},
}


def from_config(config: Mapping[str, Any]) -> tuple[FineTuningConfig, LossConfig]:
    """Returns the settings and the losses of a composed conf/fine_tune.yaml.

    Args:
        config: the composed configuration, plain dictionaries.
    """
    settings = FineTuningConfig(**{field.name: config[field.name] for field in fields(FineTuningConfig)})
    return settings, config["criterion"]


def fine_tune_head(
    checkpoint: Checkpoint,
    head: Head,
    training_head: Head,
    steps: int | None = None,
    settings: FineTuningConfig | None = None,
    criterion: LossConfig | None = None,
    on_step: Callable[[int, int], object] | None = None,
) -> Head:
    """Returns `head` with a generator tuned on the images of `training_head`.

    Args:
        checkpoint: the networks that made both heads.
        head: the head to be returned. Tuning starts from the head's tuned generator, if it has one.
        training_head: the head whose images are the training data.
        steps: replaces `settings.steps`.
        settings: None takes the defaults.
        criterion: losses; None takes `DEFAULT_LOSSES`.
        on_step: called with (steps done, total steps).
    """
    settings = replace(settings or FineTuningConfig(), **({"steps": steps} if steps else {}))
    networks = checkpoint.networks
    device = next(networks.parameters()).device
    size = checkpoint.about["spec"]["size"]
    frames = [cv2.resize(texture, (size, size), interpolation=cv2.INTER_AREA) for texture in training_head.textures]
    landmarks = np.stack([face.to_array() for face in training_head.landmarks])
    clip = Footage("head", frames, landmarks, "stills" if len(frames) == 1 else "video")
    generator = copy.deepcopy(networks.generator)
    if head.tuned is not None:
        generator.load_state_dict({name: torch.from_numpy(value) for name, value in head.tuned.items()})
    weighted = WeightedLosses(criterion or DEFAULT_LOSSES, settings.patch_size).to(device)
    discriminator = load_discriminator(checkpoint)
    style, e_hat = torch.from_numpy(head.style).to(device), torch.from_numpy(head.e_hat)
    tuned = tune(generator, style, clip, weighted, settings, discriminator, e_hat, on_step)
    weights = {name: value.numpy() for name, value in tuned.generator.items()}
    return replace(head, style=tuned.style.numpy(), tuned=weights)
