"""How good a result is. Pure functions; the networks they need are in extractors.py.

Images are RGB, uint8 or float in [0,1], [N,H,W,3] (or one, [H,W,3]); a function of two stacks gives one value per
picture, float64 [N]. Landmarks are pixels; NaN landmarks mean "no face here" and give NaN, never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fewshot_heads.errors import BadInput
from fewshot_heads.extractors import MobileFaceNet, VGG19Features, align_face

IDENTICAL_PSNR = 100.0  # dB: identical pictures have an infinite PSNR, and no mean survives an infinity
VGG_SCALE = 57.6  # standard deviation of ImageNet's colours in 0-255: features as of pictures of unit variance


def _unit(images: np.ndarray) -> np.ndarray:
    """uint8 or [0,1] images [N,H,W,3] or [H,W,3] -> float64 [N,H,W,3] in [0,1]."""
    images = np.asarray(images)
    if images.ndim not in (3, 4) or images.shape[-1] != 3 or 0 in images.shape:
        raise BadInput(f"images of shape {images.shape}, expected [N,H,W,3] or [H,W,3]")
    unit = images.astype(np.float64) / (255.0 if images.dtype == np.uint8 else 1.0)
    if images.dtype != np.uint8 and not (np.issubdtype(images.dtype, np.floating) and _in_range(unit)):
        raise BadInput(f"images of type {images.dtype} outside [0,1], expected uint8 or float in [0,1]")
    return unit if unit.ndim == 4 else unit[None]


def _in_range(unit: np.ndarray) -> bool:
    return bool(unit.min() >= -1e-6 and unit.max() <= 1 + 1e-6)  # False for NaN too


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = _unit(a), _unit(b)
    if a.shape != b.shape:
        raise BadInput(f"images of shapes {a.shape} and {b.shape}, expected the same")
    return a, b


def _signed(unit: np.ndarray) -> Tensor:
    """[0,1] [N,H,W,3] -> the networks' float32 [-1,1] [N,3,H,W]."""
    return torch.from_numpy(unit * 2 - 1).permute(0, 3, 1, 2).float()


def l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean absolute difference, in units of the full range [0,1]."""
    a, b = _pair(a, b)
    return np.abs(a - b).mean((1, 2, 3))


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """-10 log10 of the mean squared error, in dB; at most IDENTICAL_PSNR, which identical pictures get."""
    a, b = _pair(a, b)
    error = ((a - b) ** 2).mean((1, 2, 3))
    return -10 * np.log10(np.maximum(error, 10 ** (-IDENTICAL_PSNR / 10)))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004): gaussian window 11, sigma 1.5, whole windows, mean of the channels.

    Equals scikit-image's structural_similarity(gaussian_weights=True, use_sample_covariance=False).
    """
    a, b = _pair(a, b)
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
        truth, others = _unit(truth), [_pair(truth, result)[1] for result in results]
        columns = []
        for i in range(0, len(truth), self.batch):
            seen = self.network(_signed(truth[i : i + self.batch]))
            rows = [self._distance(seen, self.network(_signed(other[i : i + self.batch]))) for other in others]
            columns.append(torch.stack(rows))
        return torch.cat(columns, 1).double().numpy()

    @staticmethod
    def _distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
        layers = [(p - q).abs().mean((1, 2, 3)) for p, q in zip(a, b, strict=True)]
        return torch.stack(layers).mean(0) / VGG_SCALE


class Identity:
    """MobileFaceNet's embedding of each picture's face, to be compared by `csim`."""

    def __init__(self, state_dict_path: str | Path) -> None:
        self.network = MobileFaceNet(state_dict_path)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Images [N,H,W,3] and landmarks [N,68 or 70,2] -> float64 [N,128]; NaN where the landmarks are NaN."""
        signed, landmarks = _signed(_unit(images)), np.asarray(landmarks)
        if landmarks.ndim != 3 or len(landmarks) != len(signed):
            raise BadInput(f"landmarks of shape {landmarks.shape} for {len(signed)} images, expected [N,68 or 70,2]")
        embeddings = np.full((len(signed), 128), np.nan)
        seen = np.flatnonzero(np.isfinite(landmarks).all((1, 2)))
        if len(seen):
            faces = torch.stack([align_face(signed[i], landmarks[i]) for i in seen])
            embeddings[seen] = self.network(faces).double().numpy()
        return embeddings


def csim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of two embeddings [...,D]: 1 for the same direction; NaN where one is NaN or zero."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return (a * b).sum(-1) / np.where(norms > 0, norms, np.nan)


def akd(landmarks_a: np.ndarray, landmarks_b: np.ndarray) -> np.ndarray:
    """Average keypoint distance: mean Euclidean distance in px over the 68 iBUG points; NaN where a face is missing."""
    a, b = (np.asarray(points, dtype=np.float64)[..., :68, :] for points in (landmarks_a, landmarks_b))
    if a.shape[-2:] != (68, 2) or b.shape[-2:] != (68, 2):
        raise BadInput(f"landmarks of shapes {a.shape} and {b.shape}, expected [...,68 or 70,2]")
    return np.linalg.norm(a - b, axis=-1).mean(-1)


def jitter(landmarks: np.ndarray) -> float:
    """Mean absolute second difference over time of consecutive landmarks [T,P,2], in px per frame squared.

    Triples of frames with a missing face (NaN) are left out; NaN when no triple is whole.
    """
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.ndim != 3 or landmarks.shape[-1] != 2:
        raise BadInput(f"landmarks of shape {landmarks.shape}, expected [T,P,2]")
    triples = np.abs(np.diff(landmarks, n=2, axis=0)).mean((1, 2)) if len(landmarks) > 2 else np.empty(0)
    whole = triples[np.isfinite(triples)]
    return float(whole.mean()) if len(whole) else float("nan")
