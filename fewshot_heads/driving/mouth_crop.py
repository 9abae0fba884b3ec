"""The inside of a mouth that opens is the driver's: laid between the source's lips, in the colors of its picture.

As in Averbuch-Elor et al., Bringing Portraits to Life, SIGGRAPH Asia 2017. Where no driver shows one it is painted
(`inside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fewshot_heads.imaging.face_color import FaceColor
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.regions import MOUTH

BOX_RATIO = 1.6  # side of the square around a mouth, over the larger side of its lips
_KEPT = 128  # pixels of that square, at most
_CUT = 0.9  # share of a mouth in the picture under which nothing of it is used: the rest would be a mirror image


@dataclass(frozen=True)
class MouthCrop:
    """A driver's mouth in one frame, small enough to be kept for each of a video's (about 5 kB).

    jpeg: the square around it, at most 128 x 128; crop: where that is in the driver's picture; lips: float32 [20, 2],
    outer and inner, in its pixels; shown: how much of the lips' box is in the picture, 0 to 1; colors: of the face.
    """

    jpeg: bytes
    crop: Crop
    lips: np.ndarray
    visible_fraction: float
    color: FaceColor

    @classmethod
    def of(cls, picture: np.ndarray, face: Landmarks) -> MouthCrop:
        """The mouth of a face in a picture uint8 [H, W, 3]."""
        lips = face.points[MOUTH.surround]
        place = MOUTH.crop_box(face, BOX_RATIO)
        crop = replace(place, size=min(place.size, _KEPT))
        # Cut out first: shrinking all of a large picture for a mouth takes longer than finding the face.
        square = cv2.resize(place.cut(picture), (crop.size, crop.size), interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", square, [cv2.IMWRITE_JPEG_QUALITY, 95])
        box = np.stack([lips.min(0), lips.max(0)])
        sides, within = np.ptp(box, axis=0), np.ptp(np.clip(box, 0, picture.shape[1::-1]), axis=0)
        shown = round(float(within.prod() / max(sides.prod(), 1e-9)), 3)  # 1 where nothing is cut off
        colors = FaceColor.of(picture, face.points)
        return cls(jpeg.tobytes(), crop, crop.to_crop(face).points[MOUTH.surround], shown, colors)

    def with_landmarks(self, face: Landmarks) -> MouthCrop:
        """The same pixels, with lips where another reading of that face has them."""
        return replace(self, lips=self.crop.to_crop(face).points[MOUTH.surround])

    @property
    def visibility_weight(self) -> float:
        """How much of it may be shown, 0 to 1: nothing of a mouth that its picture cuts off."""
        return float(np.clip((self.visible_fraction - _CUT) / (1 - _CUT), 0, 1))


def share_white_reference(mouths: Sequence[MouthCrop]) -> list[MouthCrop]:
    """The mouths of a shot, with the median white of its eyes: by each frame's own, teeth would flicker in blinks."""
    whites = [mouth.color.white for mouth in mouths if mouth.color.white is not None]
    white = np.median(whites, axis=0) if whites else None
    return [replace(mouth, color=replace(mouth.color, white=white)) for mouth in mouths]
