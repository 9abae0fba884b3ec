"""How near one stack of pictures is to another, and how restless a clip is around the head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fewshot_heads.errors import BadInput
from fewshot_heads.features.vgg19 import VGG19Features
from fewshot_heads.imaging.convert import pair, signed, unit

IDENTICAL_PSNR = 100.0  # dB: identical pictures have an infinite PSNR, and no mean survives an infinity
HEAD_REACH, HEAD_RISE = np.array([1.8, 1.9]), 0.7  # half sides of the face: see `flicker`
VGG_SCALE = 57.6  # standard deviation of ImageNet's colors in 0-255: features as of pictures of unit variance


def l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean absolute difference, in units of the full range [0,1]."""
    a, b = pair(a, b)
    return np.abs(a - b).mean((1, 2, 3))


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """-10 log10 of the mean squared error, in dB; at most IDENTICAL_PSNR, which identical pictures get."""
    a, b = pair(a, b)
    error = ((a - b) ** 2).mean((1, 2, 3))
    return -10 * np.log10(np.maximum(error, 10 ** (-IDENTICAL_PSNR / 10)))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004): gaussian window 11, sigma 1.5, whole windows, mean of the channels.

    Equals scikit-image's structural_similarity(gaussian_weights=True, use_sample_covariance=False).
    """
    a, b = pair(a, b)
    if min(a.shape[1:3]) < 11:
        raise BadInput(f"images of {a.shape[2]}x{a.shape[1]} px, SSIM needs 11 or more each way")
    x, y = (torch.from_numpy(images).permute(0, 3, 1, 2) for images in (a, b))
    rows, columns = _gaussian_windows(a.shape[1]), _gaussian_windows(a.shape[2]).T
    values = []
    for p, q in zip(x, y, strict=True):  # one at a time: the float64 maps of a long clip would be large
        mean_p, mean_q, pp, qq, pq = (rows @ torch.stack([p, q, p * p, q * q, p * q]) @ columns).unbind()
        variances, covariance = pp - mean_p**2 + qq - mean_q**2, pq - mean_p * mean_q
        c1, c2 = 0.01**2, 0.03**2
        luminance = (2 * mean_p * mean_q + c1) / (mean_p**2 + mean_q**2 + c1)
        values.append((luminance * (2 * covariance + c2) / (variances + c2)).mean().item())
    return np.array(values)


def _gaussian_windows(length: int) -> Tensor:
    """[length - 10, length] matrix of every whole window: a product is several times faster than a convolution."""
    offset = torch.arange(length)[None] - torch.arange(length - 10)[:, None] - 5
    weights = torch.exp(-(offset.double() ** 2) / (2 * 1.5**2)) * (offset.abs() <= 5)
    return weights / weights.sum(1, keepdim=True)


class VGGDistance:
    """Mean absolute difference of VGG-19's relu1_1, relu2_1 and relu3_1, averaged over the three layers.

    The network sees caffe's 0-255 minus the mean; its features are divided by VGG_SCALE.
    """

    def __init__(self, weights_npz: str | Path, batch: int = 8) -> None:
        self.network, self.batch = VGG19Features(weights_npz), batch

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self.to_each(a, [b])[0]

    @torch.inference_mode()
    def to_each(self, truth: np.ndarray, results: Sequence[np.ndarray]) -> np.ndarray:
        """Distance of every stack of results to one truth, [R,N]; the truth is looked at once."""
        truth, others = unit(truth), [pair(truth, result)[1] for result in results]
        columns = []
        for i in range(0, len(truth), self.batch):
            seen = self.network(signed(truth[i : i + self.batch]))
            rows = [self._distance(seen, self.network(signed(other[i : i + self.batch]))) for other in others]
            columns.append(torch.stack(rows))
        return torch.cat(columns, 1).double().numpy()

    @staticmethod
    def _distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
        layers = [(p - q).abs().mean((1, 2, 3)) for p, q in zip(a, b, strict=True)]
        return torch.stack(layers).mean(0) / VGG_SCALE


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two sets of features [N,D] and [M,D] seen as normal distributions.

    |mean_a - mean_b|^2 + trace(C_a + C_b - 2 (C_a C_b)^1/2), covariances C over N - 1 (Heusel et al. 2017, eq. 6).
    Rows with NaN are left out; NaN when either set has fewer than two others. It is biased: too few samples make it
    too large, the more so the wider D (thousands of pictures for 2048), so only sets of equal size compare.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise BadInput(f"features of shapes {a.shape} and {b.shape}, expected [N,D] and [M,D]")
    a, b = (rows[np.isfinite(rows).all(1)] for rows in (a, b))
    if min(len(a), len(b)) < 2:
        return float("nan")
    # With C = R^T R, the trace of (C_a C_b)^1/2 is the sum of the singular values of R_a R_b^T: no root of a matrix,
    # which loses half the digits where there are fewer pictures than features.
    root_a, root_b = _root_of_covariance(a), _root_of_covariance(b)
    shared = np.linalg.norm(root_a @ root_b.T, "nuc")
    means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(max(means + (root_a**2).sum() + (root_b**2).sum() - 2 * shared, 0.0))


def _root_of_covariance(rows: np.ndarray) -> np.ndarray:
    """R [min(N,D),D] with R^T R the covariance of the rows [N,D]."""
    root: np.ndarray = np.linalg.qr((rows - rows.mean(0)) / np.sqrt(len(rows) - 1)).R
    return root


def flicker(images: np.ndarray, landmarks: np.ndarray) -> float:
    """Mean absolute difference, range [0,1], of consecutive pictures outside the head; 0 for a still background.

    images [T,H,W,3], landmarks [T,68 or 70,2] px. With s half the larger side of the face's box, turned with the
    eyes, the head is an ellipse HEAD_RISE s above the box's middle, half axes HEAD_REACH s across and upwards; a pixel
    counts where it lies outside both pictures' ellipses. Shoulders and hair below the chin count, and move in true
    footage too: compare with that. Pairs without both faces, or all head, are left out; NaN when none is left.
    """
    images, landmarks = np.asarray(images), np.asarray(landmarks, dtype=np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1] < 68 or landmarks.shape[2] < 2 or len(landmarks) != len(images):
        raise BadInput(f"landmarks of shape {landmarks.shape} for {len(images)} images, expected [T,68 or 70,2]")
    changes = []
    for t in np.flatnonzero(np.isfinite(landmarks[..., :2]).all((1, 2))[:-1]):
        before, after = landmarks[t, :, :2], landmarks[t + 1, :, :2]
        if np.isfinite(after).all():
            pictures = unit(images[t : t + 2])
            outside = _outside_head(before, pictures.shape[1:3]) & _outside_head(after, pictures.shape[1:3])
            if outside.any():
                changes.append(np.abs(pictures[1] - pictures[0])[outside].mean())
    return float(np.mean(changes)) if changes else float("nan")


def _outside_head(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Landmarks [P,2] -> bool [H,W]."""
    along = points[42:48].mean(0) - points[36:42].mean(0)
    length = np.hypot(*along)
    right = along / length if length > 0 else np.array([1.0, 0.0])
    axes = np.column_stack([right, [-right[1], right[0]]])  # to the right and down, as the head is rolled
    local = points @ axes
    half = (local.max(0) - local.min(0)).max() / 2
    middle = (local.max(0) + local.min(0)) / 2 - [0, HEAD_RISE * half]
    rows, columns = np.indices(shape) + 0.5  # landmarks count from pixel edges
    away = np.stack([columns, rows], -1) @ axes - middle
    return ((away / np.maximum(HEAD_REACH * half, 1e-9)) ** 2).sum(-1) > 1
