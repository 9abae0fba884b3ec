"""Regions of a face that open or close: the mouth, the eyes and the upper eyelids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.landmarks import INNER_LIPS, LEFT_EYE, LIPS, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.eye_frame import EyeFrame
from fewshot_heads.landmarks.stickman import SUBPIXEL_BITS, fixed_point

_EDGE_SIGMA_MASK_FRACTION = 0.02  # standard deviation of the mask's soft edge, in sides of the mask
# The mask of an upper lid.
_LASHES_EYE_WIDTHS = 0.12  # from the edge of the lid downward
_CORNER_EYE_WIDTHS = 0.12  # beyond the corners of the eye
_LID_PLACES = 17  # along the eye, to each of which the mask's outline has two points
# The arc of a lip, from the right corner of the mouth to the left one.
_ARC = np.linspace(0, np.pi, 17)
_ROUNDNESS = 1.5  # 1 is an ellipse, 2 a parabola
_LEAST_SQUARED_PIXELS = 1e-6  # of the mouth's half width
_MAX_ALONG = 0.8  # a landmark that is nearer to a corner says nothing of the height


class FaceRegion(NamedTuple):
    """A region of a face, given by its landmarks.

    Attributes:
        outline: landmarks around the part that shows when the region is open.
        surround: landmarks that the crop box is centered on.
        box_ratio: side of the crop box over the larger side of the surround.
        mask_scale: width and height of the mask over those of the outline. Lashes lie on the outline itself.
        rounded: whether the outline bends between its landmarks as lips do (`lip_arcs`).
    """

    outline: slice
    surround: slice
    box_ratio: float
    mask_scale: tuple[float, float] = (1.0, 1.0)
    rounded: bool = False

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
        points = lip_arcs(points) if self.rounded else points
        center = points.mean(0)
        return _soft_polygon(center + (points - center) * self.mask_scale, size)


class Eyelid(NamedTuple):
    """The skin from an eye's brow to the lashes of its upper lid, wherever the lid is.

    Attributes:
        eye: the eye that the lid closes.
        brow: landmarks of the brow.
    """

    eye: FaceRegion
    brow: slice

    @property
    def outline(self) -> slice:
        """Landmarks of the eye."""
        return self.eye.outline

    def crop_box(self, face: Landmarks, box_ratio: float | None = None) -> Crop:
        """Returns the square around the eye, see `FaceRegion.crop_box`."""
        return self.eye.crop_box(face, box_ratio)

    def mask(self, face: Landmarks, size: int) -> np.ndarray:
        """Returns the region's soft mask, see `FaceRegion.mask`."""
        eye = EyeFrame(face.points[self.outline])
        along = np.linspace(-_CORNER_EYE_WIDTHS, 1 + _CORNER_EYE_WIDTHS, _LID_PLACES) * eye.width
        lid, _ = eye.lids(along)
        arch = np.sqrt(1 - np.linspace(-1, 1, _LID_PLACES) ** 2)
        top = eye.skin_top(face.points[self.brow], along)
        bottom = lid + _LASHES_EYE_WIDTHS * eye.width
        outline = [eye.to_image(along, lid + arch * (edge - lid)) for edge in (top, bottom)]
        return _soft_polygon(np.concatenate([outline[0], outline[1][::-1]]), size)


def lip_arcs(lips: np.ndarray) -> np.ndarray:
    """Returns the outline of an open mouth, which is rounder than the polygon of its landmarks, [N, 2], pixels.

    The lips have no landmarks near their corners. There each goes on as an arc between an ellipse and a parabola. Of
    280 open mouths the polygon has .86 of the area, and the arcs 1.02.

    Args:
        lips: [8, 2], the inner lips, pixels.
    """
    center, half = (lips[0] + lips[4]) / 2, (lips[4] - lips[0]) / 2
    axes = np.array([half, [-half[1], half[0]]])  # along and down
    scale = max(float(half @ half), _LEAST_SQUARED_PIXELS)
    upper, lower = ([-np.cos(_ARC), _arc_heights((row - center) @ axes.T / scale)] for row in (lips[1:4], lips[:4:-1]))
    return center + np.concatenate([np.array(upper).T, np.array(lower).T[::-1]]) @ axes


def _arc_heights(lip: np.ndarray) -> np.ndarray:
    """Returns the heights of a lip at the places `_ARC`, which are 0 at both corners.

    Args:
        lip: [3, 2], its landmarks between the corners, along and down, half widths of the mouth.
    """
    along, down = lip[lip[:, 0].argsort()].T  # of a mouth in profile they are in no order
    along = along.clip(-_MAX_ALONG, _MAX_ALONG)
    return np.interp(-np.cos(_ARC), along, down / (1 - along**2) ** (_ROUNDNESS / 2)) * np.sin(_ARC) ** _ROUNDNESS


def _soft_polygon(points: np.ndarray, size: int) -> np.ndarray:
    """Returns the mask of a polygon [N, 2] with a soft edge, float32 [size, size], 0 to 1."""
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [fixed_point(points).round().astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    return cv2.GaussianBlur(mask, (0, 0), _EDGE_SIGMA_MASK_FRACTION * size).astype(np.float32) / 255


MOUTH = FaceRegion(INNER_LIPS, LIPS, 1.25, rounded=True)
EYES = (FaceRegion(RIGHT_EYE, RIGHT_EYE, 2.2, (1.04, 1.25)), FaceRegion(LEFT_EYE, LEFT_EYE, 2.2, (1.04, 1.25)))
EYELIDS = tuple(Eyelid(eye, brow) for eye, (_, brow) in zip(EYES, EYES_AND_BROWS, strict=True))
Region = FaceRegion | Eyelid
REGIONS: Mapping[str, Sequence[Region]] = {"mouth": (MOUTH,), "eyes": EYES, "lids": EYELIDS}
