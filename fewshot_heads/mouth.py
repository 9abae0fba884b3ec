"""The inside of a mouth that opens: no picture of a closed one shows it, so it is the driver's, or made up.

As in Averbuch-Elor et al., Bringing Portraits to Life, SIGGRAPH Asia 2017. It is laid between the source's lips, in
the colours of the source's picture. Where no driver shows one, a network paints it (`models.inpainter`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from fewshot_heads.colours import cast, face_colour
from fewshot_heads.images import resized, to_tensor, to_uint8
from fewshot_heads.landmarks import INNER_LIPS, OUTER_LIPS, Landmarks
from fewshot_heads.landmarks.geometry import Crop
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.models.texture import normalise, resize_flow, sample, tps_flow

_LIPS = slice(OUTER_LIPS.start, INNER_LIPS.stop)
_ROOM = 1.6  # side of the square around a mouth, over the larger side of its lips
_KEPT = 128  # pixels of that square, at most
_NEAR = 1.25  # as _ROOM, of the square that is painted: there lips should be large
_GRID = 24  # places of the spline, which is smooth
_STIFFNESS = 1e-2  # of the spline: lips are found to a pixel or so
_SOFT = 0.02  # of a square: the edge of what is laid between lips
_LIT = 0.7  # power of how much darker a face is than the driver's: some of it is the light's, some the skin's
_DARKEST = 0.5  # and how dark that may make teeth, at most
_CUT = 0.9  # share of a mouth in the picture under which nothing of it is used: the rest would be a mirror image
_ENOUGH = 0.5  # share of opening from which on nothing shows of what the source has between its lips


@dataclass(frozen=True)
class Mouth:
    """A driver's mouth in one frame, small enough to be kept for each of a video's (about 5 kB).

    jpeg: the square around it, at most 128 x 128; crop: where that is in the driver's picture; lips: float32 [20, 2],
    outer and inner, in its pixels; shown: how much of the lips' box is in the picture, 0 to 1; colour [3]: of the face.
    """

    jpeg: bytes
    crop: Crop
    lips: np.ndarray
    shown: float
    colour: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray, face: Landmarks) -> Mouth:
        """The mouth of a face in a picture uint8 [H, W, 3]."""
        lips = face.points[_LIPS]
        place = around_mouth(face, _ROOM)
        crop = replace(place, size=min(place.size, _KEPT))
        # Cut out first: shrinking all of a large picture for a mouth takes longer than finding the face.
        square = cv2.resize(place.cut(picture), (crop.size, crop.size), interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", square, [cv2.IMWRITE_JPEG_QUALITY, 95])
        box = np.stack([lips.min(0), lips.max(0)])
        sides, within = np.ptp(box, axis=0), np.ptp(np.clip(box, 0, picture.shape[1::-1]), axis=0)
        shown = round(float(within.prod() / max(sides.prod(), 1e-9)), 3)  # 1 where nothing is cut off
        return cls(jpeg.tobytes(), crop, crop.to_crop(face).points[_LIPS], shown, face_colour(picture, face.points))

    def held_by(self, face: Landmarks) -> Mouth:
        """The same pixels, with lips where another reading of that face has them."""
        return replace(self, lips=self.crop.to_crop(face).points[_LIPS])

    @property
    def usable(self) -> float:
        """How much of it may be shown, 0 to 1: nothing of a mouth that its picture cuts off."""
        return float(np.clip((self.shown - _CUT) / (1 - _CUT), 0, 1))

    def between(
        self, frame: np.ndarray, face: Landmarks, share: float, tint: np.ndarray, brightness: float
    ) -> np.ndarray:
        """A frame uint8 [H, W, 3] with this mouth's inside between the inner lips of a face (pixels of the frame).

        share: how much of the face's mouth has opened beyond what the source shows, 0 to 1. tint [3, 3], brightness:
        what the source's picture makes of colours, and the mean level of its face.
        """
        share *= self.usable
        if share <= 0:
            return frame
        place = around_mouth(face, _ROOM)
        lit = np.clip((brightness / max(self.colour.mean(), 1.0)) ** _LIT, _DARKEST, 1.0)
        gains = tint * (lit / tint.sum(1).max()) @ np.diag(1 / cast(self.colour))
        carried = self._carried_to(place.to_crop(face).points[_LIPS], place.size)
        return _laid(frame, place, face, np.clip(carried @ gains.T, 0, 255), share)

    def _carried_to(self, lips: np.ndarray, size: int) -> np.ndarray:
        """uint8 [size, size, 3]: this mouth with its lips where `lips` [20, 2] are."""
        square = np.asarray(cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR))
        source = normalise(torch.from_numpy(self.lips)[None], len(square))
        goal = normalise(torch.from_numpy(lips)[None], size)
        flow = tps_flow(source, goal, _GRID, stiffness=torch.full((1, len(lips)), _STIFFNESS))
        return to_uint8(sample(to_tensor(square)[None], resize_flow(flow, size)))[0]


@torch.inference_mode()
def painted(frame: np.ndarray, face: Landmarks, share: float, tint: np.ndarray, inpainter: Inpainter) -> np.ndarray:
    """A frame uint8 [H, W, 3] with an inside that nobody has shown between the inner lips of a face (its pixels).

    share, tint: as of `Mouth.between`. The inpainter, which knows photographs, sees the frame without its tint; the
    light is that of what is around the mouth.
    """
    if share <= 0:
        return frame
    place, size = around_mouth(face), inpainter.size
    lips = replace(place, size=size).to_crop(face).points
    device = next(inpainter.parameters()).device
    hole = torch.from_numpy(draw_hole(lips[INNER_LIPS], size))[None]
    seen = np.clip(resized(place.cut(frame), size) @ np.linalg.pinv(tint).T, 0, 255).astype(np.uint8)
    inputs = (to_tensor(seen), hole, to_tensor(draw_stickman(lips, size)))
    inside = to_uint8(inpainter.paint(*(each[None].to(device) for each in inputs)))[0]
    return _laid(frame, place, face, np.clip(resized(inside, place.size) @ tint.T, 0, 255), share)


def around_mouth(face: Landmarks, room: float = _NEAR) -> Crop:
    """The square around the lips, `room` times as large as they are, on whole pixels and as large as in the picture."""
    lips = face.points[_LIPS]
    low, high = lips.min(0), lips.max(0)
    side = max(round(room * float((high - low).max())), 2)
    left, top = np.round((low + high) / 2 - side / 2).tolist()
    return Crop(left, top, float(side), side)


def draw_hole(lips: np.ndarray, size: int) -> np.ndarray:
    """Where a mouth is open: float32 [size, size], 0 to 1, between inner lips [8, 2] (pixels), with a soft edge."""
    hole = np.zeros((size, size), np.uint8)
    cv2.fillPoly(hole, [((lips - 0.5) * 16).round().astype(np.int32)], 255, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(hole, (0, 0), _SOFT * size).astype(np.float32) / 255


def _laid(frame: np.ndarray, place: Crop, face: Landmarks, inside: np.ndarray, share: float) -> np.ndarray:
    """The frame with `inside` [size, size, 3] between the lips of a face at a place of it."""
    here = place.cut(frame)
    alpha = draw_hole(place.to_crop(face).points[INNER_LIPS], place.size) * min(share / _ENOUGH, 1.0)
    opened = (here + alpha[..., None] * (inside - here.astype(np.float32)) + 0.5).astype(np.uint8)
    corner = np.array([place.left, place.top], int)
    (left, top), (right, bottom) = np.clip([corner, corner + place.size], 0, frame.shape[1::-1])
    result = frame.copy()
    x, y = corner
    result[top:bottom, left:right] = opened[top - y : bottom - y, left - x : right - x]
    return result
