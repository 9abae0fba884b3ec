"""Parts of a face that open, mouth and eyes: where they are, and how what is inside gets there.

No picture of a closed part shows its inside. It is laid there from elsewhere: from the driver (`mouth.Mouth`), or
from a network that fills a hole by what is around it (`models.inpainter`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import torch

from fewshot_heads.imaging.convert import resized, to_tensor, to_uint8
from fewshot_heads.landmarks import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.geometry import Crop
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.models.inpainter import Inpainter

_SOFT = 0.02  # of a square: the edge of what is laid into it
_ENOUGH = 0.5  # share of opening from which on nothing shows of what the source has there


class Part(NamedTuple):
    """A part of a face, by its landmarks.

    outline: those around what shows when it is open; about: those that its square is laid about. room: side of that
    square over their larger side. grown: width and height of the hole over the outline's; lashes lie on that.
    """

    outline: slice
    about: slice
    room: float
    grown: tuple[float, float] = (1.0, 1.0)

    def square(self, face: Landmarks, room: float | None = None) -> Crop:
        """Where it is in the picture of a face, on whole pixels and as large as there; room: another than its own."""
        points = face.points[self.about]
        low, high = points.min(0), points.max(0)
        side = max(round((room or self.room) * float((high - low).max())), 2)
        left, top = np.round((low + high) / 2 - side / 2).tolist()
        return Crop(left, top, float(side), side)

    def hole(self, face: Landmarks, size: int) -> np.ndarray:
        """Its inside in a square of that size (pixels of which the face has): float32 [size, size], 0 to 1."""
        points = face.points[self.outline]
        middle, hole = points.mean(0), np.zeros((size, size), np.uint8)
        wide = middle + (points - middle) * self.grown
        cv2.fillPoly(hole, [((wide - 0.5) * 16).round().astype(np.int32)], 255, cv2.LINE_AA, 4)
        return cv2.GaussianBlur(hole, (0, 0), _SOFT * size).astype(np.float32) / 255

    def laid(self, frame: np.ndarray, face: Landmarks, place: Crop, inside: np.ndarray, share: float) -> np.ndarray:
        """A frame uint8 [H, W, 3] with `inside` [S, S, 3], of a square of it, in the hole of a face (frame's pixels).

        share: how much it has opened beyond what the source shows, 0 to 1.
        """
        here = place.cut(frame)
        alpha = self.hole(place.to_crop(face), place.size) * min(share / _ENOUGH, 1.0)
        opened = (here + alpha[..., None] * (inside - here.astype(np.float32)) + 0.5).astype(np.uint8)
        corner = np.array([place.left, place.top], int)
        (left, top), (right, bottom) = np.clip([corner, corner + place.size], 0, frame.shape[1::-1])
        result = frame.copy()
        x, y = corner
        result[top:bottom, left:right] = opened[top - y : bottom - y, left - x : right - x]
        return result

    @torch.inference_mode()
    def painted(
        self, frame: np.ndarray, face: Landmarks, share: float, tint: np.ndarray, inpainter: Inpainter
    ) -> np.ndarray:
        """A frame uint8 [H, W, 3] with an inside that nobody has shown; face, share: as of `laid`.

        tint [3, 3]: what the source's picture makes of colours. The inpainter, which knows photographs, sees the frame
        without it; the light is that of what is around the hole.
        """
        if share <= 0:
            return frame
        place, size = self.square(face), inpainter.size
        there = replace(place, size=size).to_crop(face)
        device = next(inpainter.parameters()).device
        hole = torch.from_numpy(self.hole(there, size))[None]
        seen = np.clip(resized(place.cut(frame), size) @ np.linalg.pinv(tint).T, 0, 255).astype(np.uint8)
        inputs = (to_tensor(seen), hole, to_tensor(draw_stickman(there.points, size)))
        inside = to_uint8(inpainter.paint(*(each[None].to(device) for each in inputs)))[0]
        return self.laid(frame, face, place, np.clip(resized(inside, place.size) @ tint.T, 0, 255), share)


MOUTH = Part(INNER_LIPS, slice(OUTER_LIPS.start, INNER_LIPS.stop), 1.25)
EYES = (Part(RIGHT_EYE, RIGHT_EYE, 2.2, (1.04, 1.25)), Part(LEFT_EYE, LEFT_EYE, 2.2, (1.04, 1.25)))
PARTS: Mapping[str, tuple[Part, ...]] = {"mouth": (MOUTH,), "eyes": EYES}
