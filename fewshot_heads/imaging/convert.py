"""Image conversions: uint8 RGB [H, W, 3] at the boundary, float [-1, 1] tensors inside."""

from __future__ import annotations

import cv2
import numpy as np
import torch


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
