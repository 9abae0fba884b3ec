"""Face features of faceres, a MobileNet-v1 trained on VGGFace2 (Cao et al., FG 2018)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput
from fewshot_heads.features.loading import BGR_MEAN, read_arrays, to_caffe


class FaceFeatures(nn.Module):
    """The body of faceres, trained to recognize faces, as a frozen feature extractor.

    Gradients reach the images. An image should show the face with a margin: 1.2 times the face box.

    Attributes:
        unit: factor from the features to the range 0 to 255. ReLU6 ends at 6.
        taps: pointwise convolutions whose features are returned.
        strided: depthwise convolutions of stride 2.
        mean: mean color, BGR [1, 3, 1, 1], 0 to 255.
    """

    unit = 255 / 6
    taps = (1, 3, 5, 11, 13)
    strided = (2, 4, 6, 12)
    mean: Tensor

    def __init__(self, npz_path: str | Path) -> None:
        """Loads the weights.

        Args:
            npz_path: file with conv1.{weight,bias} and, for i from 1 to 13, conv_dw_i.{weight,scale,bias} and
                conv_pw_i.{weight,bias}.

        Raises:
            BadInput: if the file or one of its arrays is missing.
        """
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
        """Returns a convolution with ReLU6. `scale` multiplies the filters of each output channel."""
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        if scale is not None:
            weight = weight * scale.view(-1, 1, 1, 1)
        if weight.shape[-1] == 3:  # padding "SAME" of TensorFlow: stride 2 pads only the bottom and the right
            x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        return F.conv2d(x, weight, bias, stride=stride, groups=groups).clamp(0, 6)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the features at conv_pw_1, 3, 5, 11 and 13.

        The mean of the last feature over all pixels is the embedding of the face.

        Args:
            images: RGB [B, 3, 224, 224], -1 to 1.

        Returns:
            [B, 64, 112, 112], [B, 128, 56, 56], [B, 256, 28, 28], [B, 512, 14, 14], [B, 1024, 7, 7].

        Raises:
            BadInput: if the images have another size.
        """
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
