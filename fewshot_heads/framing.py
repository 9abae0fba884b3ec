"""Where in its picture a head is cut out: the crops of a person's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.backdrop import same_scene
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.geometry import CROP_RISE, Crop, control_points
from fewshot_heads.landmarks.stickman import draw_head
from fewshot_heads.matte import person

_WIDER = 1.4  # times the first picture's crop: one for all may be so large
_RAISE, _ROOM = 0.12, 0.05  # of the crop: how far it is raised at most, and the room above hair it is raised for


def framed_alike(images: Sequence[np.ndarray], faces: Sequence[Landmarks], crops: Sequence[Crop]) -> list[Crop]:
    """The crops of K pictures uint8 [H, W, 3], with one for all that show the first one's scene, so that their
    backgrounds lie upon each other. Unless the head moves about so much that it would be too small in it, or leave
    it."""
    first, (height, width, _) = crops[0], images[0].shape
    alike = [i for i, image in enumerate(images) if image.shape == images[0].shape]
    small = [cv2.resize(images[i], (first.size, first.size), interpolation=cv2.INTER_AREA) for i in alike]
    scale = np.array([first.size / width, first.size / height])
    heads = [draw_head(control_points(faces[i]) * scale, first.size) for i in alike]
    scene = [alike[i] for i in same_scene(np.stack(small), np.stack(heads))]
    shared = Crop.around([faces[i] for i in scene], first.size)
    sides = [crops[i].side for i in scene]
    boxes = np.array([shared.to_crop(faces[i]).box for i in scene])
    if not max(sides) / _WIDER <= shared.side <= first.side * _WIDER or boxes.min() < 0 or boxes.max() > first.size:
        return list(crops)
    return [shared if i in scene else crop for i, crop in enumerate(crops)]


def raised(image: np.ndarray, face: Landmarks, crop: Crop) -> Crop:
    """The crop of a picture uint8 [H, W, 3], higher by what its hair or hat needs above it, as far as the picture goes:
    what lies outside of a crop does not move."""
    most = min(_RAISE * crop.side, max(crop.top, 0.0))
    highest = replace(crop, top=crop.top - most)
    left, top, right, _ = np.clip(highest.to_crop(face).box, 0, crop.size - 1).astype(int)
    bare = (person(highest.cut(image))[:top, left:right] < 0.5).all(1)
    room = (int(np.flatnonzero(bare).max(initial=-1)) + 1) / crop.size * crop.side
    return replace(crop, top=crop.top - round(np.clip(most + _ROOM * crop.side - room, 0, most)))


def lift(face: Landmarks, size: int) -> float:
    """By how many pixels a crop in which a lone picture's face lies so has been `raised` above `Crop.around`."""
    left, top, right, bottom = face.box
    low = (top + bottom) / 2 - size / 2 - CROP_RISE * max(right - left, bottom - top)
    return float(np.clip(low, 0, _RAISE * size)) if low > 1 else 0.0
