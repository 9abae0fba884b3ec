"""The square crop around a head."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks

CROP_FACTOR = 2.2  # side of the crop over the larger side of the face box
CROP_RISE = 0.16  # the crop's center lies this share of the face box above the box's center


@dataclass(frozen=True)
class Crop:
    """A square of the picture, seen at `size` x `size` pixels.

    left, top, side: pixels of the picture; the square may reach beyond its edges.
    """

    left: float
    top: float
    side: float
    size: int

    @classmethod
    def around(cls, faces: list[Landmarks], size: int) -> Crop:
        """One square for a whole shot, around the median face box and wide enough that no face leaves it.

        It lies on whole pixels, so what is cut out can be put back without being resampled.
        """
        boxes = np.array([face.box for face in faces])
        box = np.median(boxes, axis=0)
        face = float((box[2:] - box[:2]).max())
        center = (box[:2] + box[2:]) / 2 - [0, CROP_RISE * face]
        reach = np.abs(np.concatenate([boxes[:, :2] - center, boxes[:, 2:] - center])).max()
        side = max(CROP_FACTOR * face, min(2.1 * reach, 1.6 * CROP_FACTOR * face))
        left, top = np.round(center - side / 2).tolist()
        return cls(left, top, float(round(side)), size)

    @classmethod
    def full(cls, height: int, width: int, size: int) -> Crop:
        """The picture itself as the crop: its largest centered square."""
        side = min(height, width)
        return cls((width - side) // 2, (height - side) // 2, side, size)

    def grown(self, factor: float) -> Crop:
        """About the same middle, factor times as large, seen at as many pixels."""
        margin = (factor - 1) / 2 * self.side
        return replace(self, left=self.left - margin, top=self.top - margin, side=factor * self.side)

    @property
    def scale(self) -> float:
        """Crop pixels per picture pixel."""
        return self.size / self.side

    @property
    def matrix(self) -> np.ndarray:
        """[2, 3] affine map from picture to crop coordinates (pixel centers at integers, as OpenCV has them)."""
        k = self.scale
        shift = 0.5 * k - 0.5
        return np.array([[k, 0, shift - k * self.left], [0, k, shift - k * self.top]])

    def cut(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] picture to uint8 [size, size, 3]; beyond the edges the picture is mirrored."""
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

    def to_crop(self, landmarks: Landmarks) -> Landmarks:
        """Landmarks of the picture, in pixels of the crop (pixel edges at integers, as detectors have them)."""
        return landmarks.moved(np.array([self.left, self.top], np.float32), self.scale)

    def from_crop(self, landmarks: Landmarks) -> Landmarks:
        """Landmarks in pixels of the crop, in those of the picture."""
        return landmarks.moved(np.array([-self.left, -self.top], np.float32) * self.scale, 1 / self.scale)
