"""The square crop around a head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks

CROP_FACTOR = 2.2  # side of the crop over the larger side of the face box
CROP_RISE = 0.16  # height of the crop's center above the center of the face box, in larger sides of the face box
_REACH_FACTOR = 2.1  # side of a shot's crop over the farthest reach of a face from the crop's center
_MAX_GROWTH = 1.6  # a shot's crop is at most this many times the crop of the median face


@dataclass(frozen=True)
class Crop:
    """A square of an image, resampled to `size` x `size` pixels.

    Attributes:
        left: left edge, image pixels. The square may reach beyond the image.
        top: top edge, image pixels.
        side: side of the square, image pixels.
        size: side of the crop, crop pixels.
    """

    left: float
    top: float
    side: float
    size: int

    @classmethod
    def around(cls, faces: Iterable[Landmarks], size: int) -> Crop:
        """Returns one square for a whole shot, large enough for every face.

        The square is centered on the median face box. The square lies on whole pixels, so a crop can be pasted back
        without resampling.

        Args:
            faces: the faces of the shot, image pixels.
            size: side of the crop, crop pixels.
        """
        boxes = np.array([face.box for face in faces])
        box = np.median(boxes, axis=0)
        face_size = float((box[2:] - box[:2]).max())
        center = (box[:2] + box[2:]) / 2 - [0, CROP_RISE * face_size]
        reach = np.abs(np.concatenate([boxes[:, :2] - center, boxes[:, 2:] - center])).max()
        side = max(CROP_FACTOR * face_size, min(_REACH_FACTOR * reach, _MAX_GROWTH * CROP_FACTOR * face_size))
        left, top = np.round(center - side / 2).tolist()
        return cls(left, top, float(round(side)), size)

    @classmethod
    def full(cls, height: int, width: int, size: int) -> Crop:
        """Returns the largest centered square of an image.

        Args:
            height: height of the image, pixels.
            width: width of the image, pixels.
            size: side of the crop, crop pixels.
        """
        side = min(height, width)
        return cls((width - side) // 2, (height - side) // 2, side, size)

    def grown(self, factor: float) -> Crop:
        """Returns a larger square around the same center, resampled to the same size.

        Args:
            factor: new side over old side.
        """
        margin = (factor - 1) / 2 * self.side
        return replace(self, left=self.left - margin, top=self.top - margin, side=factor * self.side)

    @property
    def scale(self) -> float:
        """Crop pixels per image pixel."""
        return self.size / self.side

    @property
    def matrix(self) -> np.ndarray:
        """Affine map [2, 3] from image to crop pixels, pixel centers at integers (OpenCV)."""
        k = self.scale
        shift = 0.5 * k - 0.5
        return np.array([[k, 0, shift - k * self.left], [0, k, shift - k * self.top]])

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Returns the pixels of the crop, mirrored beyond the edges of the image.

        Args:
            image: uint8 [H, W, 3].

        Returns:
            uint8 [size, size, 3].
        """
        interpolation = cv2.INTER_LINEAR if self.scale >= 0.5 else cv2.INTER_AREA
        if interpolation == cv2.INTER_AREA:
            # warpAffine cannot average: shrink first to about twice the final size, then place.
            factor = 2 * self.scale
            small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            return Crop(self.left * factor, self.top * factor, self.side * factor, self.size).cut(small)
        if self.scale > 1:
            interpolation = cv2.INTER_CUBIC
        return cv2.warpAffine(
            image, self.matrix, (self.size, self.size), flags=interpolation, borderMode=cv2.BORDER_REFLECT_101
        )

    def inside(self, image: np.ndarray) -> tuple[slice, slice]:
        """Returns the rows and columns of the crop that show the image; the others are beyond its edges.

        Args:
            image: [H, W, ...].
        """
        corner, k = np.array([self.top, self.left]), self.scale
        first = np.ceil(-corner * k - 0.5).astype(int).clip(0, self.size)
        last = np.ceil((image.shape[:2] - corner) * k - 0.5).astype(int).clip(0, self.size)
        return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))

    def to_crop(self, landmarks: Landmarks) -> Landmarks:
        """Returns landmarks in crop pixels.

        Args:
            landmarks: image pixels, with pixel edges at integers as detectors have them.
        """
        return landmarks.moved(np.array([self.left, self.top], np.float32), self.scale)

    def from_crop(self, landmarks: Landmarks) -> Landmarks:
        """Returns landmarks in image pixels.

        Args:
            landmarks: crop pixels.
        """
        return landmarks.moved(np.array([-self.left, -self.top], np.float32) * self.scale, 1 / self.scale)
