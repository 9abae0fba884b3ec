"""Regions of a face that open: the mouth and the eyes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.landmarks import INNER_LIPS, LEFT_EYE, LIPS, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.stickman import SUBPIXEL_BITS, fixed_point

_EDGE_SIGMA_MASK_FRACTION = 0.02  # standard deviation of the mask's soft edge, in sides of the mask


class FaceRegion(NamedTuple):
    """A region of a face, given by its landmarks.

    Attributes:
        outline: landmarks around the part that shows when the region is open.
        surround: landmarks that the crop box is centered on.
        box_ratio: side of the crop box over the larger side of the surround.
        mask_scale: width and height of the mask over those of the outline. Lashes lie on the outline itself.
    """

    outline: slice
    surround: slice
    box_ratio: float
    mask_scale: tuple[float, float] = (1.0, 1.0)

    def crop_box(self, face: Landmarks, box_ratio: float | None = None) -> Crop:
        """Returns the square around the region, on whole pixels and at the image's resolution.

        Args:
            face: landmarks, pixels.
            box_ratio: replaces the region's ratio. None keeps the default.
        """
        points = face.points[self.surround]
        low, high = points.min(0), points.max(0)
        side = max(round((box_ratio or self.box_ratio) * float((high - low).max())), 2)
        left, top = np.round((low + high) / 2 - side / 2).tolist()
        return Crop(left, top, float(side), side)

    def mask(self, face: Landmarks, size: int) -> np.ndarray:
        """Returns the region's soft mask, float32 [size, size], 0 to 1.

        Args:
            face: landmarks in pixels of the mask.
            size: side of the mask, pixels.
        """
        points = face.points[self.outline]
        center, mask = points.mean(0), np.zeros((size, size), np.uint8)
        outline = center + (points - center) * self.mask_scale
        cv2.fillPoly(mask, [fixed_point(outline).round().astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        return cv2.GaussianBlur(mask, (0, 0), _EDGE_SIGMA_MASK_FRACTION * size).astype(np.float32) / 255


MOUTH = FaceRegion(INNER_LIPS, LIPS, 1.25)
EYES = (FaceRegion(RIGHT_EYE, RIGHT_EYE, 2.2, (1.04, 1.25)), FaceRegion(LEFT_EYE, LEFT_EYE, 2.2, (1.04, 1.25)))
REGIONS: Mapping[str, tuple[FaceRegion, ...]] = {"mouth": (MOUTH,), "eyes": EYES}
