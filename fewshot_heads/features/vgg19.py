"""Frozen networks whose features the losses compare; each loads its weights from a file the user names."""

from __future__ import annotations

import zipfile
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput, first_line

BGR_MEAN = (103.939, 116.779, 123.68)  # the mean color of ImageNet in caffe's order and range
RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision has them


def read_arrays(path: str | Path, names: list[str]) -> dict[str, Tensor]:
    """The named arrays of an .npz as float32 tensors. Raises BadInput when the file or one of them is missing."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name].astype(np.float32)) for name in names}
    except (OSError, ValueError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: not an .npz with the arrays {names[0]} ... {names[-1]} ({error})") from error


def to_caffe(images: Tensor, mean: Tensor) -> Tensor:
    """RGB [-1,1] [B,3,H,W] -> BGR 0-255 minus the mean, the form caffe-trained networks expect."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise BadInput(f"images of shape {tuple(images.shape)}, expected [B,3,H,W] in [-1,1]")
    return (images.flip(1) + 1) * 127.5 - mean


class VGG19Features(nn.Module):
    """ImageNet VGG-19: RGB images [-1,1] [B,3,H,W] -> features at relu1_1, relu2_1 ... as deep as its weights go.

    weights: "torchvision" (fetched once by that library; to relu5_1), or a file: an .npz with convB_N.weight
    [out,in,3,3] and convB_N.bias [out] of the caffe model, or torchvision's state dict (.pth). Frozen, but gradients
    reach the images. `unit` brings the features to those of pictures from 0 to 255.
    """

    stages = (2, 2, 4, 4, 1)  # convolutions between poolings, as far as relu5_1
    mean: Tensor
    std: Tensor

    def __init__(self, weights: str | Path = "torchvision") -> None:
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
                    f"{weights}: {layer} is {tuple(weight.shape)}, not a 3x3 of {channels} channels: not VGG19"
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
        """Features at relu1_1 [B,64,H,W], relu2_1 [B,128,H/2,W/2], relu3_1 [B,256,H/4,W/4] ..."""
        x = to_caffe(images, self.mean) if self.caffe else (_unit(images) - self.mean) / self.std
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
    """Every convB_N array of the .npz; those up to conv3_1 must be there."""
    needed = [f"conv{layer}.{kind}" for layer in ("1_1", "1_2", "2_1", "2_2", "3_1") for kind in ("weight", "bias")]
    arrays = read_arrays(path, needed)
    with np.load(path, allow_pickle=False) as file:
        more = [name for name in file.files if name.startswith("conv") and name not in arrays]
    return arrays | read_arrays(path, more) if more else arrays


def _torchvision_vgg19(weights: str | Path) -> dict[str, Tensor]:
    if str(weights) == "torchvision":
        from torchvision.models import VGG19_Weights

        try:
            state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise BadInput(
                f"torchvision's VGG19 cannot be fetched ({str(error).strip().splitlines()[0]}); name a local file, "
                "criterion.vgg19.weights=FILE, or leave it out, criterion.vgg19.weight=0"
            ) from error
    else:
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, UnpicklingError, EOFError, KeyError, ValueError) as error:
            raise BadInput(f"{weights}: neither an .npz nor a state dict of VGG19 ({first_line(error)})") from error
    indices = {"1_1": 0, "1_2": 2, "2_1": 5, "2_2": 7, "3_1": 10, "3_2": 12, "3_3": 14, "3_4": 16}
    indices |= {"4_1": 19, "4_2": 21, "4_3": 23, "4_4": 25, "5_1": 28}
    try:
        arrays = {
            f"conv{layer}.{kind}": state[f"features.{i}.{kind}"]
            for layer, i in indices.items()
            for kind in ("weight", "bias")
        }
        if any(arrays[f"conv{layer}.weight"].shape[-2:] != (3, 3) for layer in indices):
            raise KeyError("3x3 convolutions")
        return arrays
    except (KeyError, AttributeError, TypeError, IndexError) as error:
        raise BadInput(f"{weights}: a state dict, but not of VGG19 (no {error}); name torchvision's vgg19") from error


def _unit(images: Tensor) -> Tensor:
    """RGB [-1,1] -> [0,1]."""
    return (images + 1) / 2
