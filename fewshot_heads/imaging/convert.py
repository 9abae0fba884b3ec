"""Image conversions: uint8 RGB outside the library, floats from -1 to 1 inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fewshot_heads.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor


def to_float(image: np.ndarray) -> np.ndarray:
    """Returns images as the networks read them.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].

    Returns:
        float32 [3, H, W] or [N, 3, H, W], -1 to 1, with the channels last in memory.
    """
    return np.moveaxis(np.asarray(image, np.float32) / np.float32(127.5) - np.float32(1), -1, -3)


def to_tensor(image: np.ndarray) -> Tensor:
    """Returns images as the networks read them in torch, laid out as by `to_float`.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].
    """
    import torch

    return torch.from_numpy(to_float(image))


def to_uint8(image: np.ndarray | Tensor) -> np.ndarray:
    """Returns the networks' images as uint8, rounded and clipped.

    Args:
        image: float [3, H, W] or [N, 3, H, W], -1 to 1.

    Returns:
        uint8 [H, W, 3] or [N, H, W, 3].
    """
    array = image if isinstance(image, np.ndarray) else image.detach().float().cpu().numpy()
    array = np.ascontiguousarray(np.moveaxis(array, -3, -1), np.float32)
    flat = array.reshape(1, -1)
    return cv2.addWeighted(flat, 127.5, flat, 0, 127.5, dtype=cv2.CV_8U).reshape(array.shape)


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
    import torch

    return torch.from_numpy(scaled * 2 - 1).permute(0, 3, 1, 2).float()


def unit_to_uint8(scaled: np.ndarray) -> np.ndarray:
    """Returns images or masks as uint8, rounded and clipped; the inverse of a division by 255.

    Args:
        scaled: float of any shape, 0 to 1.
    """
    return (scaled * 255).round().clip(0, 255).astype(np.uint8)
