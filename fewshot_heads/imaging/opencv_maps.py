"""Operations of OpenCV on arrays that are laid out as tensors, [B, C, H, W].

Results have their channels last in memory, as OpenCV reads and writes images. Inputs that have so are not copied.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

SAMPLED_CHANNELS = (1, 3, 4)  # images with other numbers of channels are sampled at 1/32 of a pixel (OpenCV 5.0)
_BORDERS = {"zeros": cv2.BORDER_CONSTANT, "border": cv2.BORDER_REPLICATE, "reflection": cv2.BORDER_REFLECT}


def resize(maps: np.ndarray, size: int) -> np.ndarray:
    """Returns maps at another size, interpolated bilinearly, float32 [B, C, size, size].

    Args:
        maps: float32 [B, C, s, s], C up to 4.
        size: new side, pixels.
    """
    return _channels_first(resize_vectors(_channels_last(maps), size))


def resize_vectors(maps: np.ndarray, size: int) -> np.ndarray:
    """Returns maps of vectors at another size, interpolated bilinearly, float32 [B, size, size, C].

    Args:
        maps: float32 [B, s, s, C], C up to 4.
        size: new side, pixels.
    """
    result = np.empty((len(maps), size, size, maps.shape[-1]), np.float32)
    for image, target in zip(maps, result, strict=True):
        cv2.resize(image, (size, size), target, interpolation=cv2.INTER_LINEAR)
    return result


def binomial(maps: np.ndarray) -> np.ndarray:
    """Returns maps float32 [B, C, H, W] after a binomial 3x3 filter; the border is continued."""
    images = _channels_last(maps)
    result = np.empty_like(images)
    for image, target in zip(images, result, strict=True):
        cv2.GaussianBlur(image, (3, 3), 0, target, borderType=cv2.BORDER_REPLICATE)
    return _channels_first(result)


def sample(images: np.ndarray, flow: np.ndarray, padding: str) -> np.ndarray:
    """Returns images sampled bilinearly along a flow, float32 [B, C, h, w].

    Args:
        images: float32 [B, C, H, W], C one of `SAMPLED_CHANNELS`.
        flow: float32 [B, h, w, 2], positions, -1 to 1.
        padding: what lies beyond the border, as `torch.nn.functional.grid_sample` names it.
    """
    result = np.empty((*flow.shape[:3], images.shape[1]), np.float32)
    for image, positions, target in zip(images, flow, result, strict=True):
        sample_map(np.ascontiguousarray(image.transpose(1, 2, 0)), positions, padding, target)
    return _channels_first(result)


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


def _channels_last(maps: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(maps.transpose(0, 2, 3, 1))


def _channels_first(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2)
