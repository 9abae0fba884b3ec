"""Image conversions: uint8 RGB outside the library, float tensors from -1 to 1 inside."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fewshot_heads.errors import BadInput


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """Returns images as the networks read them.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].

    Returns:
        float32 [3, H, W] or [N, 3, H, W], -1 to 1.
    """
    return torch.from_numpy(np.ascontiguousarray(image)).movedim(-1, -3).float().div_(127.5).sub_(1)


def to_uint8(tensor: torch.Tensor) -> np.ndarray:
    """Returns the networks' images as uint8, rounded and clipped.

    Args:
        tensor: float [3, H, W] or [N, 3, H, W], -1 to 1.

    Returns:
        uint8 [H, W, 3] or [N, H, W, 3].
    """
    scaled = tensor.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return scaled.movedim(-3, -1).contiguous().cpu().numpy()


def unit(images: np.ndarray) -> np.ndarray:
    """Returns a stack of images, float64 [N, H, W, 3], 0 to 1.

    Args:
        images: uint8, or float from 0 to 1, [N, H, W, 3] or [H, W, 3].

    Raises:
        BadInput: if the shape, the type or the range is another.
    """
    images = np.asarray(images)
    if images.ndim not in (3, 4) or images.shape[-1] != 3 or 0 in images.shape:
        raise BadInput(f"images of shape {images.shape}, expected [N,H,W,3] or [H,W,3]")
    scaled = images.astype(np.float64) / (255.0 if images.dtype == np.uint8 else 1.0)
    if images.dtype != np.uint8 and not (np.issubdtype(images.dtype, np.floating) and _in_range(scaled)):
        raise BadInput(f"images of type {images.dtype} outside [0,1], expected uint8 or float in [0,1]")
    return scaled if scaled.ndim == 4 else scaled[None]


def _in_range(scaled: np.ndarray) -> bool:
    """Returns whether all values are from 0 to 1, up to rounding."""
    return bool(scaled.min() >= -1e-6 and scaled.max() <= 1 + 1e-6)  # False for NaN too


def pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns two stacks of images as `unit` does, and checks that their shapes are equal.

    Args:
        a: images as in `unit`.
        b: images as in `unit`.

    Raises:
        BadInput: if the shapes differ, or `unit` refuses one of the stacks.
    """
    a, b = unit(a), unit(b)
    if a.shape != b.shape:
        raise BadInput(f"images of shapes {a.shape} and {b.shape}, expected the same")
    return a, b


def signed(scaled: np.ndarray) -> Tensor:
    """Returns images as the networks read them, float32 [N, 3, H, W], -1 to 1.

    Args:
        scaled: float [N, H, W, 3], 0 to 1.
    """
    return torch.from_numpy(scaled * 2 - 1).permute(0, 3, 1, 2).float()


def unit_to_uint8(scaled: np.ndarray) -> np.ndarray:
    """Returns images or masks as uint8, rounded and clipped; the inverse of a division by 255.

    Args:
        scaled: float of any shape, 0 to 1.
    """
    return (scaled * 255).round().clip(0, 255).astype(np.uint8)
