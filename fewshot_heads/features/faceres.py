"""Face features of faceres, a MobileNet trained on VGGFace2."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput
from fewshot_heads.features.vgg19 import BGR_MEAN, read_arrays, to_caffe


class FaceFeatures(nn.Module):
    """MobileNet-v1 body trained for identity (faceres): RGB images [-1,1] [B,3,224,224] -> features.

    `npz_path` holds conv1.{weight,bias} and, for i = 1 ... 13, conv_dw_i.{weight,scale,bias} and
    conv_pw_i.{weight,bias}. Frozen, but gradients reach the images. The pictures should show the face with
    some margin, about 1.2 x its box.
    """

    unit = 255 / 6  # ReLU6 ends at 6
    taps = (1, 3, 5, 11, 13)
    strided = (2, 4, 6, 12)
    mean: Tensor

    def __init__(self, npz_path: str | Path) -> None:
        super().__init__()
        names = ["conv1.weight", "conv1.bias"]
        for i in range(1, 14):
            names += [f"conv_dw_{i}.{kind}" for kind in ("weight", "scale", "bias")]
            names += [f"conv_pw_{i}.{kind}" for kind in ("weight", "bias")]
        for name, array in read_arrays(npz_path, names).items():
            self.register_buffer(name.replace(".", "_"), array)
        self.register_buffer("mean", torch.tensor(BGR_MEAN).view(1, 3, 1, 1))
        self.eval()

    def _conv(self, x: Tensor, name: str, stride: int, groups: int = 1, scale: Tensor | None = None) -> Tensor:
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        if scale is not None:
            weight = weight * scale.view(-1, 1, 1, 1)
        if weight.shape[-1] == 3:  # TensorFlow "SAME": a strided layer pads at the bottom and at the right only
            x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        return F.conv2d(x, weight, bias, stride=stride, groups=groups).clamp(0, 6)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features at conv_pw_1, 3, 5, 11, 13 (112, 56, 28, 14, 7 px a side); the mean of the last is the embedding."""
        if images.shape[-2:] != (224, 224):
            raise BadInput(f"images of {tuple(images.shape[-2:])} px, expected 224x224")
        x, features = self._conv(to_caffe(images, self.mean), "conv1", stride=2), []
        for i in range(1, 14):
            scale = self.get_buffer(f"conv_dw_{i}_scale")
            x = self._conv(x, f"conv_dw_{i}", 2 if i in self.strided else 1, groups=x.shape[1], scale=scale)
            x = self._conv(x, f"conv_pw_{i}", stride=1)
            if i in self.taps:
                features.append(x)
        return features
