"""Chooses the crops of a person's source images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from fewshot_heads.landmarks import OUTER_LIPS, Landmarks
from fewshot_heads.landmarks.control_points import control_points
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.rendering.occlusion import frames_of_same_scene, head_mask
from fewshot_heads.rendering.parsing import person_matte

_MIN_TEXTURE_SIZE, _MAX_TEXTURE_SIZE = 256, 768  # pixels; between these, crops keep their own resolution
_WIDER = 1.4  # times the first picture's crop: one for all may be so large
_RAISE, _ROOM = 0.12, 0.05  # of the crop: how far it is raised at most, and the room above hair it is raised for
_WIDEST, _SWAY = 1.4, 0.15  # times the crop that one with hair or a hat may be; and the room beside these, in crops


def choose_crops(images: Sequence[np.ndarray], faces: Sequence[Landmarks], crops: Sequence[Crop]) -> list[Crop]:
    """Returns the crops of one person's K source images.

    The crop of a single image grows to include hair and hats. Several images of one scene share a crop.

    Args:
        images: K images, uint8 [H, W, 3].
        faces: K landmarks, pixels of the images.
        crops: K crops around the faces.
    """
    if len(images) > 1:
        return shared_crop(images, faces, crops)
    return [expand_crop_for_hair(images[0], faces[0], crops[0])]


def texture_size(crops: Sequence[Crop]) -> int:
    """Returns the side of the textures, pixels.

    The side is that of the largest crop, within 256 to 768, rounded up to a multiple of 32.

    Args:
        crops: of the source images.
    """
    side = max(min(crop.side, _MAX_TEXTURE_SIZE) for crop in crops)
    return max(int(np.ceil(side / 32)) * 32, _MIN_TEXTURE_SIZE)


def shared_crop(images: Sequence[np.ndarray], faces: Sequence[Landmarks], crops: Sequence[Crop]) -> list[Crop]:
    """Returns the crops, with a shared one for all images of the first scene.

    With a shared crop, backgrounds align. The crops are unchanged if the head moves so far that the head would be too
    small in a shared crop, or leave it.

    Args:
        images: K images, uint8 [H, W, 3].
        faces: K landmarks, pixels of the images.
        crops: K crops around the faces.
    """
    first, (height, width, _) = crops[0], images[0].shape
    alike = [i for i, image in enumerate(images) if image.shape == images[0].shape]
    small = [cv2.resize(images[i], (first.size, first.size), interpolation=cv2.INTER_AREA) for i in alike]
    scale = np.array([first.size / width, first.size / height])
    heads = [head_mask(control_points(faces[i]) * scale, first.size) for i in alike]
    scene = [alike[i] for i in frames_of_same_scene(np.stack(small), np.stack(heads))]
    shared = Crop.around([faces[i] for i in scene], first.size)
    sides = [crops[i].side for i in scene]
    boxes = np.array([shared.to_crop(faces[i]).box for i in scene])
    if not max(sides) / _WIDER <= shared.side <= first.side * _WIDER or boxes.min() < 0 or boxes.max() > first.size:
        return list(crops)
    return [shared if i in scene else crop for i, crop in enumerate(crops)]


def expand_crop_for_hair(image: np.ndarray, face: Landmarks, crop: Crop) -> Crop:
    """Returns the crop of a single source image, enlarged to include hair and hats.

    Pixels outside a crop do not move, so hair outside would be cut off. The crop grows within the image only.

    Args:
        image: uint8 [H, W, 3].
        face: landmarks, pixels of the image.
        crop: crop around the face.
    """
    return _raised(image, face, _widened(image, face, crop))


def _widened(image: np.ndarray, face: Landmarks, crop: Crop) -> Crop:
    middle = np.array([crop.left, crop.top]) + crop.side / 2
    widest = crop.grown(_WIDEST)
    hair = _above_mouth(person_matte(widest.cut(image)), widest.to_crop(face))
    if not hair.any():
        return crop
    # As far as the picture goes, or the usual crop where that goes beyond it.
    low = np.minimum([crop.left, crop.top], 0.0)
    high = np.maximum([crop.left + crop.side, crop.top + crop.side], image.shape[1::-1])
    columns, rows = (np.flatnonzero(hair.any(axis)) / widest.scale for axis in (0, 1))
    left = max(widest.left + columns[0] - _SWAY * crop.side, low[0])
    right = min(widest.left + columns[-1] + _SWAY * crop.side, high[0])
    top = max(widest.top + rows[0] - _ROOM * crop.side, low[1])
    needed = max(2 * (middle[0] - left), 2 * (right - middle[0]), (middle[1] - top) / (0.5 + _RAISE), crop.side)
    side = float(round(min(needed, widest.side, *(high - low))))
    corner = np.clip(np.round(middle - side / 2), low, high - side)
    return replace(crop, left=float(corner[0]), top=float(corner[1]), side=side)


def _above_mouth(matte: np.ndarray, face: Landmarks) -> np.ndarray:
    """bool [S, S]: a face's person in a matte [S, S], above the mouth. What is below are shoulders, which stay."""
    mouth, nose = face.points[OUTER_LIPS].mean(0), face.points[27]
    y, x = np.indices(matte.shape)
    seen = (matte > 0.5) & ((x - mouth[0]) * (nose - mouth)[0] + (y - mouth[1]) * (nose - mouth)[1] > 0)
    _, people = cv2.connectedComponents(seen.astype(np.uint8))
    column, row = nose.astype(int).clip(0, len(matte) - 1)
    return seen & (people == people[row, column])


def _raised(image: np.ndarray, face: Landmarks, crop: Crop) -> Crop:
    most = min(_RAISE * crop.side, max(crop.top, 0.0))
    highest = replace(crop, top=crop.top - most)
    left, top, right, _ = np.clip(highest.to_crop(face).box, 0, crop.size - 1).astype(int)
    bare = (person_matte(highest.cut(image))[:top, left:right] < 0.5).all(1)
    room = (int(np.flatnonzero(bare).max(initial=-1)) + 1) / crop.size * crop.side
    return replace(crop, top=crop.top - round(np.clip(most + _ROOM * crop.side - room, 0, most)))
