"""Features of VGG-19, trained on ImageNet (Simonyan and Zisserman, ICLR 2015)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.features.loading import (
    BGR_MEAN,
    RGB_MEAN,
    RGB_STD,
    UNREADABLE,
    read_arrays,
    read_state_dict,
    to_caffe,
    to_torchvision,
)

# Position of each convolution in torchvision's `features`.
_TORCHVISION_INDICES = {
    **{"1_1": 0, "1_2": 2, "2_1": 5, "2_2": 7, "3_1": 10, "3_2": 12, "3_3": 14, "3_4": 16},
    **{"4_1": 19, "4_2": 21, "4_3": 23, "4_4": 25, "5_1": 28},
}


class VGG19Features(nn.Module):
    """VGG-19 as a frozen feature extractor. Gradients reach the images.

    Attributes:
        stages: number of convolutions between poolings, up to relu5_1.
        layers: names of the convolutions that the weights hold.
        caffe: whether the weights are those of the caffe model.
        unit: factor from the features to the features of images from 0 to 255.
        mean: mean color, [1, 3, 1, 1].
        std: standard deviation of the colors, [1, 3, 1, 1].
    """

    stages = (2, 2, 4, 4, 1)
    mean: Tensor
    std: Tensor

    def __init__(self, weights: str | Path = "torchvision") -> None:
        """Loads the weights.

        Args:
            weights: "torchvision", which that library downloads once, or a file. An .npz file holds convB_N.weight
                [out, in, 3, 3] and convB_N.bias [out] of the caffe model, up to conv3_1 or deeper. Any other file is
                the state dict of torchvision.

        Raises:
            BadInput: if the weights are missing or belong to another network.
        """
        super().__init__()
        caffe = Path(weights).suffix == ".npz"
        arrays = _caffe_vgg19(weights) if caffe else _torchvision_vgg19(weights)
        names = [f"conv{stage}_{n}" for stage, count in enumerate(self.stages, 1) for n in range(1, count + 1)]
        deepest = max(name for name in names if name.endswith("_1") and f"{name}.weight" in arrays)
        self.layers = tuple(names[: names.index(deepest) + 1])
        self.convs, channels = nn.ModuleDict(), 3
        for layer in self.layers:
            weight, bias = arrays[f"{layer}.weight"], arrays[f"{layer}.bias"]
            if tuple(weight.shape[1:]) != (channels, 3, 3) or bias.shape != weight.shape[:1]:
                raise BadInput(
                    f"{weights}: {layer} is {tuple(weight.shape)}, not a 3x3 of {channels} channels; "
                    "name weights of VGG19"
                )
            conv = nn.Conv2d(channels, channels := len(weight), 3, padding=1)
            conv.load_state_dict({"weight": weight, "bias": bias})
            self.convs[layer] = conv
        mean, std = (BGR_MEAN, (1.0,) * 3) if caffe else (RGB_MEAN, RGB_STD)
        self.caffe, self.unit = caffe, 1.0 if caffe else 255 * float(np.mean(RGB_STD))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the features at relu1_1, relu2_1 ... as deep as the weights go.

        Args:
            images: RGB [B, 3, H, W], -1 to 1.

        Returns:
            [B, 64, H, W], [B, 128, H/2, W/2], [B, 256, H/4, W/4] ...
        """
        x = to_caffe(images, self.mean) if self.caffe else to_torchvision(images, self.mean, self.std)
        features: list[Tensor] = []
        for layer in self.layers:
            first = layer.endswith("_1")
            if first and features:
                x = F.max_pool2d(x, 2)
            x = F.relu(self.convs[layer](x))
            if first:
                features.append(x)
        return features


def _caffe_vgg19(path: str | Path) -> dict[str, Tensor]:
    """Returns all convB_N arrays of an .npz file. Those up to conv3_1 are required."""
    needed = [f"conv{layer}.{kind}" for layer in ("1_1", "1_2", "2_1", "2_2", "3_1") for kind in ("weight", "bias")]
    arrays = read_arrays(path, needed)
    with np.load(path, allow_pickle=False) as file:
        more = [name for name in file.files if name.startswith("conv") and name not in arrays]
    return arrays | read_arrays(path, more) if more else arrays


def _torchvision_vgg19(weights: str | Path) -> dict[str, Tensor]:
    """Returns the arrays of torchvision's state dict under the names of the caffe model."""
    if str(weights) == "torchvision":
        from torchvision.models import VGG19_Weights

        try:
            state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise BadInput(
                f"torchvision's VGG19 cannot be fetched ({first_line(error)}); name a local file, "
                "criterion.vgg19.weights=FILE, or leave it out, criterion.vgg19.weight=0"
            ) from error
    else:
        try:
            state = read_state_dict(weights)
        except BadInput:
            raise
        except UNREADABLE as error:
            raise BadInput(f"{weights}: neither an .npz nor a state dict of VGG19; name its weights") from error
    try:
        arrays = {
            f"conv{layer}.{kind}": state[f"features.{i}.{kind}"]
            for layer, i in _TORCHVISION_INDICES.items()
            for kind in ("weight", "bias")
        }
        if any(arrays[f"conv{layer}.weight"].shape[-2:] != (3, 3) for layer in _TORCHVISION_INDICES):
            raise KeyError("3x3 convolutions")
        return arrays
    except (KeyError, AttributeError, TypeError, IndexError) as error:
        raise BadInput(f"{weights}: a state dict, but not of VGG19 (no {error}); name torchvision's vgg19") from error
