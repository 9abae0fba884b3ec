"""Composites the inside of an opening mouth or eye into a frame.

No image of a closed region shows its inside. The inside comes from the driver (`transfer_mouth`) or from a network that
fills a hole from its surroundings (`models.inpainter`).
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.imaging.convert import to_float, to_uint8
from fewshot_heads.imaging.resizing import resized
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.regions import Region
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.models.network import Network

_MIN_BLUR_PIXELS = 0.3  # standard deviation; a smaller blur changes no pixel visibly
_FULL_DISOCCLUSION = 0.5  # disocclusion from which no source pixel remains in the region


def composite(
    region: Region, frame: np.ndarray, face: Landmarks, box: Crop, inside: np.ndarray, opacity: float,
    blur: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Returns the frame with `inside` in the region's mask.

    Args:
        region: the mouth or an eye.
        frame: uint8 [H, W, 3].
        face: landmarks in pixels of the frame.
        box: position of `inside` in the frame, on whole pixels.
        inside: [S, S, 3], 0 to 255, S = box.size.
        opacity: of the inside, 0 to 1.
        blur: standard deviation of a blur of the inside and its edge, pixels.
    """
    source, mask = box.cut(frame), region.mask(box.to_crop(face), box.size)
    if blur > _MIN_BLUR_PIXELS:
        inside, mask = (cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur) for image in (inside, mask))
    alpha = mask * opacity
    blended = (source + alpha[..., None] * (inside - source.astype(np.float32)) + 0.5).astype(np.uint8)
    corner = np.array([box.left, box.top], int)
    (left, top), (right, bottom) = np.clip([corner, corner + box.size], 0, frame.shape[1::-1])
    result = frame.copy()
    x, y = corner
    result[top:bottom, left:right] = blended[top - y : bottom - y, left - x : right - x]
    return result


def inpaint(
    region: Region,
    frame: np.ndarray,
    face: Landmarks,
    opacity: float,
    color_matrix: np.ndarray,
    inpainter: Network,
    keep_detail: bool = False,
) -> np.ndarray:
    """Returns the frame with an inside that the inpainter predicts from the region's surroundings.

    Args:
        region: the mouth or an eye.
        frame: uint8 [H, W, 3].
        face: landmarks in pixels of the frame.
        opacity: of the inside, 0 to 1.
        color_matrix: [3, 3], from neutral colors to those of the source image. The inpainter was trained on photographs
            and sees the frame without the source's color cast.
        inpainter: the network of this region.
        keep_detail: whether detail that is finer than the network's pixels stays that of the frame.
    """
    if opacity <= 0:
        return frame
    box, size = region.crop_box(face), inpainter.size
    cropped_face = replace(box, size=size).to_crop(face)
    hole = region.mask(cropped_face, size)[None]
    crop = box.cut(frame)
    coarse = resized(crop, size)
    neutral = np.clip(coarse @ np.linalg.pinv(color_matrix).T, 0, 255).astype(np.uint8)
    inputs = (to_float(neutral), hole, to_float(draw_stickman(cropped_face.points, size)))
    (inside,) = to_uint8(*inpainter(*(array[None] for array in inputs)))
    colored = resized(inside, box.size) @ color_matrix.T
    if keep_detail:
        colored += crop.astype(np.float32) - resized(coarse, box.size)
    return composite(region, frame, face, box, np.clip(colored, 0, 255), opacity)


def opacity_of(disocclusion: float) -> float:
    """Returns the opacity of what fills a region, which opens beyond the source by `disocclusion`, 0 to 1."""
    return min(disocclusion / _FULL_DISOCCLUSION, 1.0)
