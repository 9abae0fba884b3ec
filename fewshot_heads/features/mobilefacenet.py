"""MobileFaceNet, a network of face recognition, and the alignment of faces it expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.features.loading import UNREADABLE
from fewshot_heads.features.vgg19 import RGB_MEAN, RGB_STD
from fewshot_heads.imaging.convert import signed

ARCFACE_POINTS = ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))


def _conv_bn(channels: int, out: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, size, stride, (size - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6())


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.residual = stride == 1 and channels == out
        self.conv = nn.Sequential(
            _conv_bn(channels, wide, 1),
            _conv_bn(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class _Depthwise(nn.Module):
    """Depthwise conv + BN; with `separable`, the ReLU and the pointwise half too. Named as the state dict is."""

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
    """128-d identity embedding (ArcFace training): RGB faces [-1,1] [B,3,112,112] from `align_face` -> [B,128].

    The layout is that of foamliu/MobileFaceNet. Compare embeddings by cosine (`metrics.csim`). `state_dict_path`
    is a plain state dict; without it the weights stay random.
    """

    name = "MobileFaceNet"
    inverted = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))  # t, c, n, s
    mean: Tensor
    std: Tensor

    def __init__(self, state_dict_path: str | Path | None = None) -> None:
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
                self.load_state_dict(torch.load(state_dict_path, map_location="cpu", weights_only=True))
            except UNREADABLE as error:
                raise BadInput(f"{state_dict_path}: not a state dict of MobileFaceNet ({first_line(error)})") from error
        self.register_buffer("mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(RGB_STD).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, faces: Tensor) -> Tensor:
        if faces.shape[-3:] != (3, 112, 112):
            raise BadInput(f"faces of shape {tuple(faces.shape)}, expected [B,3,112,112] in [-1,1]")
        x = self.dw_conv(self.conv1(((faces + 1) / 2 - self.mean) / self.std))
        x = self.conv3(self.gdconv(self.conv2(self.features(x))))
        return self.bn(x).flatten(1)

    @torch.inference_mode()
    def embed(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """See `Embedder`; each face is aligned by its own landmarks."""
        faces = torch.stack([align_face(face, at) for face, at in zip(signed(images), landmarks, strict=True)])
        return self(faces).double().numpy()


def align_face(image: Tensor, landmarks: np.ndarray) -> Tensor:
    """The face of an image [3,H,W], turned and scaled onto ArcFace's five points -> [3,112,112].

    `landmarks` [68 or 70,2] are iBUG points in pixels, pixel edges at integers as detectors have them. The five points
    are the eye centers, the nose tip and the mouth corners; the similarity transform is their least-squares one.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] < 68 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise BadInput(f"landmarks of shape {points.shape}, expected [68 or 70,2] finite pixels")
    five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    here, there = five @ (1, 1j), np.array(ARCFACE_POINTS) @ (1, 1j)  # a similarity is one complex factor and a shift
    centered = here - here.mean()
    factor = (centered.conj() @ (there - there.mean())) / max(float((centered.conj() @ centered).real), 1e-12)
    if abs(factor) < 1e-6:
        raise BadInput("landmarks of a face without extent: the five points fall together")
    # two samples a pixel each way, then averaged: crops are often twice as large as 112 px, and would alias
    axis = (np.arange(224) + 0.5) / 2 - 0.5
    sample = (axis[None, :] + 1j * axis[:, None] - there.mean()) / factor + here.mean()
    height, width = image.shape[-2:]
    grid = np.stack([2 * sample.real / width - 1, 2 * sample.imag / height - 1], -1)
    field = torch.from_numpy(grid).to(image)[None]
    return F.avg_pool2d(F.grid_sample(image[None], field, align_corners=False), 2)[0]
