"""Crops of the driver's mouth, which fill the source's mouth when it opens.

Averbuch-Elor et al., "Bringing Portraits to Life", SIGGRAPH Asia 2017. `rendering.mouth_transfer` composites the crop
between the source's lips, in the colors of the source image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fewshot_heads.imaging.face_color import FaceColor, chroma_spread, is_monochrome
from fewshot_heads.imaging.sharpness import blur_radius
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.regions import MOUTH

BOX_RATIO = 1.6  # side of the square around a mouth, over the larger side of its lips
_MAX_CROP_PIXELS = 128  # larger squares are shrunk to this side
_JPEG_QUALITY = 95
# Visible fraction at which a mouth gets no weight. The rest of such a crop is a mirror image.
_MIN_VISIBLE_FRACTION = 0.9


@dataclass(frozen=True)
class MouthCrop:
    """A driver's mouth in one frame, about 5 kB.

    Attributes:
        jpeg: the square around the mouth as JPEG, at most 128 x 128 pixels.
        crop: position of the square in the driver's frame.
        lips: float32 [20, 2], outer and inner lip points, pixels of the square.
        visible_fraction: fraction of the lips' bounding box inside the frame, 0 to 1.
        color: colors of the driver's face.
        blur: standard deviation of the face's blur over the face's size (`blur_radius`).
        chroma_spread: spread of the mouth's colors around one tint, over the mean level (`chroma_spread`).
    """

    jpeg: bytes
    crop: Crop
    lips: np.ndarray
    visible_fraction: float
    color: FaceColor
    blur: float
    chroma_spread: float

    @classmethod
    def of(cls, image: np.ndarray, face: Landmarks) -> MouthCrop:
        """Returns the mouth of a face.

        Args:
            image: uint8 RGB [H, W, 3].
            face: landmarks, image pixels.
        """
        lips = face.points[MOUTH.surround]
        square = MOUTH.crop_box(face, BOX_RATIO)
        crop = replace(square, size=min(square.size, _MAX_CROP_PIXELS))
        # Cut first: to shrink all of a large image for one mouth takes longer than to detect the face.
        pixels = cv2.resize(square.cut(image), (crop.size, crop.size), interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        box = np.stack([lips.min(0), lips.max(0)])
        sides, visible_sides = np.ptp(box, axis=0), np.ptp(np.clip(box, 0, image.shape[1::-1]), axis=0)
        # Rounded to exactly 1 for lips inside the frame.
        visible_fraction = round(float(visible_sides.prod() / max(sides.prod(), 1e-9)), 3)
        color = FaceColor.of(image, face.points)
        crop_lips = crop.to_crop(face).points[MOUTH.surround]
        blur, spread = blur_radius(image, face), chroma_spread(pixels)
        return cls(jpeg.tobytes(), crop, crop_lips, visible_fraction, color, blur, spread)

    def with_landmarks(self, face: Landmarks) -> MouthCrop:
        """Returns the same pixels with the lips of other landmarks.

        Args:
            face: landmarks of the same frame, such as smoothed ones, frame pixels.
        """
        return replace(self, lips=self.crop.to_crop(face).points[MOUTH.surround])

    def with_color_reference(self, white: np.ndarray | None, spread: float) -> MouthCrop:
        """Returns the same pixels with a `color_reference`."""
        return replace(self, color=replace(self.color, white=white), chroma_spread=spread)

    @property
    def in_color(self) -> bool:
        """Whether the driver has colors; a black-and-white or sepia film has none."""
        return not is_monochrome(self.chroma_spread)

    @property
    def visibility_weight(self) -> float:
        """Opacity of the crop, 0 to 1.

        The opacity is 0 if the frame's border cuts off a tenth of the lips or more.
        """
        return float(np.clip((self.visible_fraction - _MIN_VISIBLE_FRACTION) / (1 - _MIN_VISIBLE_FRACTION), 0, 1))


def color_reference(mouths: Sequence[MouthCrop]) -> tuple[np.ndarray | None, float]:
    """Returns the median white of the eyes, None if no eye shows it, and the median spread of colors.

    Args:
        mouths: one mouth or more.
    """
    whites = [mouth.color.white for mouth in mouths if mouth.color.white is not None]
    white = np.median(whites, axis=0) if whites else None
    return white, float(np.median([mouth.chroma_spread for mouth in mouths]))
