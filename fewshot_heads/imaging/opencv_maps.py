"""Operations on maps for which OpenCV takes a fifth to a tenth of torch's time on a processor.

The numbers are those of torch up to rounding. Gradients, other devices and other types of numbers stay with torch.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor


def takes(maps: Tensor) -> bool:
    """Returns whether OpenCV can compute with these maps: float32 on the processor, in inference mode."""
    return torch.is_inference_mode_enabled() and maps.device.type == "cpu" and maps.dtype == torch.float32


def resize(maps: Tensor, size: int) -> Tensor:
    """Returns maps at another size, interpolated bilinearly, [B, C, size, size].

    Args:
        maps: [B, C, s, s].
        size: new side, pixels.
    """
    planes = maps.flatten(0, 1).contiguous().numpy()
    return torch.from_numpy(_resized(planes, (size, size))).unflatten(0, maps.shape[:2])


def resize_vectors(maps: Tensor, size: int) -> Tensor:
    """Returns maps of vectors at another size, interpolated bilinearly, [B, size, size, 2].

    Args:
        maps: [B, s, s, 2].
        size: new side, pixels.
    """
    return torch.from_numpy(_resized(maps.contiguous().numpy(), (size, size, 2)))


def binomial(maps: Tensor) -> Tensor:
    """Returns maps [B, C, H, W] after a binomial 3x3 filter; the border is continued."""
    planes = maps.flatten(0, 1).contiguous().numpy()
    result = np.empty_like(planes)
    for plane, target in zip(planes, result, strict=True):
        cv2.GaussianBlur(plane, (3, 3), 0, target, borderType=cv2.BORDER_REPLICATE)
    return torch.from_numpy(result).unflatten(0, maps.shape[:2])


def _resized(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns images [N, s, s] or [N, s, s, 2] in another shape."""
    result = np.empty((len(images), *shape), np.float32)
    for image, target in zip(images, result, strict=True):
        cv2.resize(image, shape[:2], target, interpolation=cv2.INTER_LINEAR)
    return result
