"""Image conversions: uint8 RGB [H, W, 3] at the boundary, float [-1, 1] tensors inside."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from fewshot_heads.errors import BadInput


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """A square picture [S, S] or [S, S, C] at side x side: averaged when it shrinks, cubic when it grows."""
    if len(image) == side:
        return image
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC)


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """uint8 [H,W,3] or [N,H,W,3] -> float32 [3,H,W] or [N,3,H,W] in [-1,1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).movedim(-1, -3).float().div_(127.5).sub_(1)


def to_uint8(tensor: torch.Tensor) -> np.ndarray:
    """float [3,H,W] or [N,3,H,W] in [-1,1] -> uint8 [H,W,3] or [N,H,W,3], rounded; values outside are clipped."""
    scaled = tensor.detach().float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return scaled.movedim(-3, -1).contiguous().cpu().numpy()


def unit(images: np.ndarray) -> np.ndarray:
    """uint8 or [0,1] images [N,H,W,3] or [H,W,3] -> float64 [N,H,W,3] in [0,1]."""
    images = np.asarray(images)
    if images.ndim not in (3, 4) or images.shape[-1] != 3 or 0 in images.shape:
        raise BadInput(f"images of shape {images.shape}, expected [N,H,W,3] or [H,W,3]")
    scaled = images.astype(np.float64) / (255.0 if images.dtype == np.uint8 else 1.0)
    if images.dtype != np.uint8 and not (np.issubdtype(images.dtype, np.floating) and _in_range(scaled)):
        raise BadInput(f"images of type {images.dtype} outside [0,1], expected uint8 or float in [0,1]")
    return scaled if scaled.ndim == 4 else scaled[None]


def _in_range(scaled: np.ndarray) -> bool:
    return bool(scaled.min() >= -1e-6 and scaled.max() <= 1 + 1e-6)  # False for NaN too


def pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two stacks of one shape, as `unit` has them."""
    a, b = unit(a), unit(b)
    if a.shape != b.shape:
        raise BadInput(f"images of shapes {a.shape} and {b.shape}, expected the same")
    return a, b


def signed(scaled: np.ndarray) -> Tensor:
    """[0,1] [N,H,W,3] -> the networks' float32 [-1,1] [N,3,H,W]."""
    return torch.from_numpy(scaled * 2 - 1).permute(0, 3, 1, 2).float()


def unit_to_uint8(scaled: np.ndarray) -> np.ndarray:
    """Returns images as uint8, rounded and clipped. uint8 images that went through `unit` come back unchanged.

    Args:
        scaled: float [N, H, W, 3] or [H, W, 3], 0 to 1.
    """
    return (scaled * 255).round().clip(0, 255).astype(np.uint8)
