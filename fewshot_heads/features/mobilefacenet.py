"""MobileFaceNet (Chen et al., CCBR 2018), a face-recognition network, and the alignment of its input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput
from fewshot_heads.features.loading import RGB_MEAN, RGB_STD, UNREADABLE, read_state_dict, to_torchvision
from fewshot_heads.imaging.convert import signed

FACE_SIDE_PX = 112
# Eye centers, nose tip and mouth corners in an aligned face of 112x112 pixels (ArcFace, Deng et al., CVPR 2019).
ARCFACE_POINTS = ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))


def _conv_bn(channels: int, out: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Returns convolution, batch normalization and ReLU6."""
    conv = nn.Conv2d(channels, out, size, stride, (size - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6())


class _InvertedResidual(nn.Module):
    """Inverted residual block of MobileNetV2 (Sandler et al., CVPR 2018)."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        expanded = channels * expansion
        self.residual = stride == 1 and channels == out
        self.conv = nn.Sequential(
            _conv_bn(channels, expanded, 1),
            _conv_bn(expanded, expanded, 3, stride, groups=expanded),
            nn.Conv2d(expanded, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class _Depthwise(nn.Module):
    """Depthwise convolution with batch normalization.

    `separable` adds the pointwise convolution and ReLUs. The layers are named as in the state dict.
    """

    def __init__(self, channels: int, size: int, padding: int, separable: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, size, padding=padding, groups=channels, bias=False)
        if separable:
            self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
            self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        else:
            self.bn = nn.BatchNorm2d(channels)
        self.separable = separable

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(x)
        if not self.separable:
            return self.bn(x)
        return F.relu(self.bn2(self.pointwise(F.relu(self.bn1(x)))))


class MobileFaceNet(nn.Module):
    """Embeds a face so that the cosine tells people apart (`metrics.csim`). Trained with ArcFace.

    The layers are named as in foamliu/MobileFaceNet. The network is frozen.

    Attributes:
        name: of the network, for reports.
        inverted: expansion, channels, blocks and first stride of each group of inverted residual blocks.
        mean: mean color, RGB [1, 3, 1, 1], 0 to 1.
        std: standard deviation of the colors, RGB [1, 3, 1, 1], 0 to 1.
    """

    name = "MobileFaceNet"
    inverted = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
    mean: Tensor
    std: Tensor

    def __init__(self, state_dict_path: str | Path | None = None) -> None:
        """Loads the weights.

        Args:
            state_dict_path: file with the state dict, or None for random weights.

        Raises:
            BadInput: if the file holds other weights.
        """
        super().__init__()
        self.conv1 = _conv_bn(3, 64, 3, stride=2)
        self.dw_conv = _Depthwise(64, 3, 1, separable=True)
        blocks, channels = [], 64
        for expansion, out, repeats, stride in self.inverted:
            for i in range(repeats):
                blocks.append(_InvertedResidual(channels, out, stride if i == 0 else 1, expansion))
                channels = out
        self.features = nn.Sequential(*blocks)
        self.conv2 = _conv_bn(128, 512, 1)
        self.gdconv = _Depthwise(512, 7, 0, separable=False)
        self.conv3 = nn.Conv2d(512, 128, 1)
        self.bn = nn.BatchNorm2d(128)
        if state_dict_path is not None:
            try:
                self.load_state_dict(read_state_dict(state_dict_path))
            except BadInput:
                raise
            except UNREADABLE as error:
                raise BadInput(f"{state_dict_path}: not a state dict of MobileFaceNet; name its weights") from error
        self.register_buffer("mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(RGB_STD).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, faces: Tensor) -> Tensor:
        """Returns the embeddings [B, 128].

        Args:
            faces: from `align_face`, RGB [B, 3, 112, 112], -1 to 1.

        Raises:
            BadInput: if the faces have another shape.
        """
        if faces.shape[-3:] != (3, FACE_SIDE_PX, FACE_SIDE_PX):
            raise BadInput(f"faces of shape {tuple(faces.shape)}, expected [B,3,112,112] in [-1,1]")
        x = self.dw_conv(self.conv1(to_torchvision(faces, self.mean, self.std)))
        x = self.conv3(self.gdconv(self.conv2(self.features(x))))
        return self.bn(x).flatten(1)

    @torch.inference_mode()
    def embed(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Returns one embedding per face, float64 [N, 128].

        Args:
            images: RGB [N, H, W, 3], 0 to 1, N at least 1.
            landmarks: [N, 68 or 70, 2], pixels, all finite.
        """
        pairs = zip(signed(images), landmarks, strict=True)
        return self(torch.stack([align_face(image, points) for image, points in pairs])).double().numpy()


def align_face(image: Tensor, landmarks: np.ndarray) -> Tensor:
    """Returns a face turned, scaled and shifted onto the five points of ArcFace.

    The similarity transform is the least-squares solution (Umeyama 1991).

    Args:
        image: [3, H, W].
        landmarks: [68 or 70, 2], iBUG points, pixels with pixel edges at integers.

    Returns:
        [3, 112, 112].

    Raises:
        BadInput: if the landmarks have another shape, are not finite or coincide.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] < 68 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise BadInput(f"landmarks of shape {points.shape}, expected [68 or 70,2] finite pixels")
    five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    # In complex numbers x + iy, a similarity transform is one factor and one shift.
    source, target = five @ (1, 1j), np.array(ARCFACE_POINTS) @ (1, 1j)
    centered = source - source.mean()
    factor = (centered.conj() @ (target - target.mean())) / max(float((centered.conj() @ centered).real), 1e-12)
    if abs(factor) < 1e-6:
        raise BadInput("landmarks of a face without extent: the five points fall together")
    # Crops are often twice as large as the output and would alias, so 2x2 samples are averaged per pixel.
    axis = (np.arange(2 * FACE_SIDE_PX) + 0.5) / 2 - 0.5
    samples = (axis[None, :] + 1j * axis[:, None] - target.mean()) / factor + source.mean()
    height, width = image.shape[-2:]
    grid = np.stack([2 * samples.real / width - 1, 2 * samples.imag / height - 1], -1)
    field = torch.from_numpy(grid).to(image)[None]
    return F.avg_pool2d(F.grid_sample(image[None], field, align_corners=False), 2)[0]
