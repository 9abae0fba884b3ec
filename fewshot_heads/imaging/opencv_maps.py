"""Operations on maps for which OpenCV takes a fifth to a tenth of torch's time on a processor.

The numbers are those of torch up to rounding. Gradients, other devices and other types of numbers stay with torch.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

SAMPLED_CHANNELS = (1, 3, 4)  # images with other numbers of channels are sampled at 1/32 of a pixel (OpenCV 5.0)
_BORDERS = {"zeros": cv2.BORDER_CONSTANT, "border": cv2.BORDER_REPLICATE, "reflection": cv2.BORDER_REFLECT}


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


def sample(images: Tensor, flow: Tensor, padding: str) -> Tensor:
    """Returns images sampled bilinearly along a flow, [B, C, h, w], with the channels last in memory.

    Images whose channels are last in memory are not copied.

    Args:
        images: [B, C, H, W], C one of `SAMPLED_CHANNELS`.
        flow: [B, h, w, 2], positions, -1 to 1.
        padding: what lies beyond the border, as `torch.nn.functional.grid_sample` names it.
    """
    pixels = images.permute(0, 2, 3, 1).numpy()
    result = np.empty((*flow.shape[:3], images.shape[1]), np.float32)
    for image, positions, target in zip(pixels, flow.numpy(), result, strict=True):
        sample_map(np.ascontiguousarray(image), positions, padding, target)
    return torch.from_numpy(result).permute(0, 3, 1, 2)


def sample_map(
    image: np.ndarray, flow: np.ndarray, padding: str = "zeros", target: np.ndarray | None = None
) -> np.ndarray:
    """Returns an image sampled bilinearly along a flow, float32 [h, w, C].

    Args:
        image: float32 [H, W, C], C one of `SAMPLED_CHANNELS`.
        flow: float32 [h, w, 2], positions, -1 to 1.
        padding: as in `sample`.
        target: float32 [h, w, C], where the result is written. None makes a new array.
    """
    height, width = image.shape[:2]
    # A number is multiplied faster than a pair.
    half = np.float32(width / 2) if height == width else np.array([width / 2, height / 2], np.float32)
    positions = flow * half
    positions += half - np.float32(0.5)
    no_map: Any = None  # OpenCV takes it, but its type does not say so
    sampled = cv2.remap(image, positions, no_map, cv2.INTER_LINEAR, target, _BORDERS[padding])
    return sampled.reshape(*flow.shape[:2], -1)


def _resized(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns images [N, s, s] or [N, s, s, 2] in another shape."""
    result = np.empty((len(images), *shape), np.float32)
    for image, target in zip(images, result, strict=True):
        cv2.resize(image, shape[:2], target, interpolation=cv2.INTER_LINEAR)
    return result
