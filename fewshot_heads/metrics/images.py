"""Measures of images: similarity of stacks, distance of feature sets, flicker of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.errors import BadInput
from fewshot_heads.features.vgg19 import VGG19Features
from fewshot_heads.imaging.convert import pair, signed, unit

IDENTICAL_PSNR = 100.0  # dB, for identical images: the true value is infinite, and so would be every mean
VGG_SCALE = 57.6  # standard deviation of ImageNet's colors, 0 to 255: features become those of unit variance
# Window and constants of SSIM (Wang et al. 2004).
SSIM_WINDOW_PX, SSIM_SIGMA_PX, SSIM_K1, SSIM_K2 = 11, 1.5, 0.01, 0.03
# The ellipse of a head in half sides of the face box: half axes across and upward, and the rise of the center.
HEAD_AXES_FACE_HALVES, HEAD_RISE_FACE_HALVES = np.array([1.8, 1.9]), 0.7


def l1(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Returns the mean absolute difference of each image pair, 0 to 1, float64 [N].

    Args:
        a: images, see the package.
        b: images of the same shape.
        mask: bool [H, W], the pixels that count; None counts all.
    """
    a, b = pair(a, b)
    difference = np.abs(a - b)
    return difference.mean((1, 2, 3)) if mask is None else difference[:, mask].mean((1, 2))


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the peak signal-to-noise ratio of each image pair, dB, float64 [N].

    The ratio is -10 log10 of the mean squared error, and at most IDENTICAL_PSNR.

    Args:
        a: images, see the package.
        b: images of the same shape.
    """
    a, b = pair(a, b)
    error = ((a - b) ** 2).mean((1, 2, 3))
    return -10 * np.log10(np.maximum(error, 10 ** (-IDENTICAL_PSNR / 10)))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the structural similarity of each image pair, -1 to 1, float64 [N].

    The window is a Gaussian of 11 pixels, sigma 1.5. Only complete windows count, and the channels are averaged. The
    result equals structural_similarity(gaussian_weights=True, use_sample_covariance=False) of scikit-image.

    Source: Wang et al., IEEE TIP 2004.

    Args:
        a: images, see the package, at least 11 pixels a side.
        b: images of the same shape.

    Raises:
        BadInput: if the images are too small or the shapes differ.
    """
    a, b = pair(a, b)
    if min(a.shape[1:3]) < SSIM_WINDOW_PX:
        raise BadInput(f"images of {a.shape[2]}x{a.shape[1]} px, SSIM needs {SSIM_WINDOW_PX} or more each way")
    x, y = (torch.from_numpy(images).permute(0, 3, 1, 2) for images in (a, b))
    rows, columns = _gaussian_windows(a.shape[1]), _gaussian_windows(a.shape[2]).T
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    values = []
    for p, q in zip(x, y, strict=True):  # one pair at a time, because the float64 maps of a clip are large
        mean_p, mean_q, pp, qq, pq = (rows @ torch.stack([p, q, p * p, q * q, p * q]) @ columns).unbind()
        variances, covariance = pp - mean_p**2 + qq - mean_q**2, pq - mean_p * mean_q
        luminance = (2 * mean_p * mean_q + c1) / (mean_p**2 + mean_q**2 + c1)
        values.append((luminance * (2 * covariance + c2) / (variances + c2)).mean().item())
    return np.array(values)


def _gaussian_windows(length: int) -> Tensor:
    """Returns a matrix [length - 10, length] with one complete window per row.

    A matrix product is several times faster than a convolution.
    """
    radius = SSIM_WINDOW_PX // 2
    offset = torch.arange(length)[None] - torch.arange(length - 2 * radius)[:, None] - radius
    weights = torch.exp(-(offset.double() ** 2) / (2 * SSIM_SIGMA_PX**2)) * (offset.abs() <= radius)
    return weights / weights.sum(1, keepdim=True)


class VGGDistance:
    """Mean absolute difference of the VGG-19 features, averaged over the layers.

    With weights up to conv3_1 the layers are relu1_1, relu2_1 and relu3_1. The features are divided by VGG_SCALE.

    Attributes:
        network: the feature extractor.
        batch: number of images per forward pass.
    """

    def __init__(self, weights_npz: str | Path, batch: int = 8) -> None:
        """Loads the network.

        Args:
            weights_npz: file with the weights of the caffe model, see `VGG19Features`.
            batch: number of images per forward pass.

        Raises:
            BadInput: if the file holds other weights.
        """
        self.network, self.batch = VGG19Features(weights_npz), batch

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Returns the distance of each image pair, float64 [N].

        Args:
            a: images, see the package.
            b: images of the same shape.
        """
        return self.to_each(a, [b])[0]

    @torch.inference_mode()
    def to_each(self, truth: np.ndarray, results: Sequence[np.ndarray], masks: np.ndarray | None = None) -> np.ndarray:
        """Returns the distances of several stacks to one truth, float64 [R, N].

        The features of the truth are computed once.

        Args:
            truth: images, see the package.
            results: R stacks of the same shape.
            masks: bool [N, H, W], the pixels that count; None counts all. A feature counts by the share of its cell.
        """
        truth, others = unit(truth), [pair(truth, result)[1] for result in results]
        columns = []
        for i in range(0, len(truth), self.batch):
            features = self.network(signed(truth[i : i + self.batch]))
            shares = None if masks is None else torch.from_numpy(masks[i : i + self.batch, None].astype(np.float32))
            rows = [
                self._distance(features, self.network(signed(other[i : i + self.batch])), shares) for other in others
            ]
            columns.append(torch.stack(rows))
        return torch.cat(columns, 1).double().numpy()

    @staticmethod
    def _distance(a: list[Tensor], b: list[Tensor], shares: Tensor | None = None) -> Tensor:
        """Returns the distance [N] of two lists of features, where shares [N, 1, H, W], 0 to 1, count."""
        layers = []
        for p, q in zip(a, b, strict=True):
            difference = (p - q).abs().mean(1)
            weight = (
                torch.ones_like(difference)
                if shares is None
                else F.adaptive_avg_pool2d(shares, (p.shape[2], p.shape[3]))[:, 0]
            )
            layers.append((difference * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-9))
        return torch.stack(layers).mean(0) / VGG_SCALE


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the Frechet distance between two sets of features, each taken as a normal distribution.

    The distance is |mean_a - mean_b|^2 + trace(C_a + C_b - 2 (C_a C_b)^1/2), with covariances C over N - 1. Rows with
    NaN are left out. The result is NaN if a set has fewer than two other rows.

    Few samples make the distance too large, and more so for a large D. D = 2048 needs thousands of images. Compare
    only distances of sets of equal size.

    Source: Heusel et al., NeurIPS 2017, equation 6.

    Args:
        a: features [N, D].
        b: features [M, D].

    Raises:
        BadInput: if the features have another shape.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise BadInput(f"features of shapes {a.shape} and {b.shape}, expected [N,D] and [M,D]")
    a, b = (rows[np.isfinite(rows).all(1)] for rows in (a, b))
    if min(len(a), len(b)) < 2:
        return float("nan")
    # With C = R^T R, the trace of (C_a C_b)^1/2 is the sum of the singular values of R_a R_b^T. A matrix root would
    # lose half of the digits if there are fewer images than features.
    root_a, root_b = _root_of_covariance(a), _root_of_covariance(b)
    shared = np.linalg.norm(root_a @ root_b.T, "nuc")
    means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(max(means + (root_a**2).sum() + (root_b**2).sum() - 2 * shared, 0.0))


def _root_of_covariance(rows: np.ndarray) -> np.ndarray:
    """Returns R [min(N, D), D] where R^T R is the covariance of rows [N, D]."""
    root: np.ndarray = np.linalg.qr((rows - rows.mean(0)) / np.sqrt(len(rows) - 1)).R
    return root


def flicker(images: np.ndarray, landmarks: np.ndarray) -> float:
    """Returns the mean absolute difference of consecutive frames outside the head, 0 to 1.

    A still background has 0. Shoulders and long hair count and move in real footage too, so compare with real footage.
    A pixel counts if it lies outside the head's ellipse in both frames. Frame pairs without two faces, or without such
    pixels, are left out. The result is NaN if no pair is left.

    The ellipse is turned with the eyes. Its half axes are HEAD_AXES_FACE_HALVES times half of the larger side of the
    face box. Its center lies HEAD_RISE_FACE_HALVES of the same length above the center of the box.

    Args:
        images: RGB [T, H, W, 3], uint8 or float from 0 to 1.
        landmarks: [T, 68 or 70, 2], pixels.

    Raises:
        BadInput: if the landmarks do not fit the images.
    """
    images, landmarks = np.asarray(images), np.asarray(landmarks, dtype=np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1] < 68 or landmarks.shape[2] < 2 or len(landmarks) != len(images):
        raise BadInput(f"landmarks of shape {landmarks.shape} for {len(images)} images, expected [T,68 or 70,2]")
    changes = []
    for t in np.flatnonzero(np.isfinite(landmarks[..., :2]).all((1, 2))[:-1]):
        points, next_points = landmarks[t, :, :2], landmarks[t + 1, :, :2]
        if np.isfinite(next_points).all():
            frame, next_frame = unit(images[t : t + 2])
            outside = _outside_head(points, frame.shape[:2]) & _outside_head(next_points, frame.shape[:2])
            if outside.any():
                changes.append(np.abs(next_frame - frame)[outside].mean())
    return float(np.mean(changes)) if changes else float("nan")


def _outside_head(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns which pixels lie outside the head of landmarks [P, 2], bool [H, W]."""
    between_eyes = points[42:48].mean(0) - points[36:42].mean(0)
    length = np.hypot(*between_eyes)
    right = between_eyes / length if length > 0 else np.array([1.0, 0.0])
    axes = np.column_stack([right, [-right[1], right[0]]])  # to the right and down, turned with the head
    turned = points @ axes
    face_half = (turned.max(0) - turned.min(0)).max() / 2
    center = (turned.max(0) + turned.min(0)) / 2 - [0, HEAD_RISE_FACE_HALVES * face_half]
    rows, columns = np.indices(shape) + 0.5  # landmarks count from pixel edges
    distance = np.stack([columns, rows], -1) @ axes - center
    return ((distance / np.maximum(HEAD_AXES_FACE_HALVES * face_half, 1e-9)) ** 2).sum(-1) > 1
