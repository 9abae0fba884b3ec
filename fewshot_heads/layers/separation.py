"""Separates a portrait into three layers: head, body and background.

The colors of a layer are those that give the image again (the compositing equation of Porter and Duff, 1984, solved
for the foreground). A head that does not move is therefore its picture.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d
from fewshot_heads.layers.parsing import Mattes, parse
from fewshot_heads.layers.plates import background_plate, body_layer

_MIN_ALPHA = 0.1  # where it divides: fainter wisps keep some of the old background
_FACE_BLUR_FACE_FRACTION = 0.01
_SEAM_HEAD_UNITS = 0.1


class PortraitLayers(NamedTuple):
    """The layers of one image, uint8; each is complete behind the one before.

    Attributes:
        head: [R, R, 4], RGB and alpha of face, ears, hair and hat.
        body: [R, R, 4], RGB and alpha of neck, shoulders and clothes.
        background: [R, R, 3].
    """

    head: np.ndarray
    body: np.ndarray
    background: np.ndarray


def separate(image: np.ndarray, face: Landmarks) -> PortraitLayers:
    """Returns the layers of a portrait. Composited, they are the image.

    Args:
        image: uint8 RGB [R, R, 3].
        face: landmarks, pixels of the image.
    """
    person, head = _mattes(image, face)
    background = background_plate(image, person)
    body, body_alpha = body_layer(image, person, head, face)
    head = _feathered(head, person, _SEAM_HEAD_UNITS * fit_pose(face).scale)
    body = np.where((head > _MIN_ALPHA)[..., None], body, _colors_over(image, body_alpha, background))
    behind = background + body_alpha[..., None] * (body - background.astype(np.float32))
    head_layer = _with_alpha(_colors_over(image, head, behind), head)
    return PortraitLayers(head_layer, _with_alpha(body, body_alpha), background)


def _mattes(image: np.ndarray, face: Landmarks) -> Mattes:
    """Returns the mattes of one person: the face is head, and what is not connected to it is not."""
    person, head = parse(image)
    outline = soft_hull(landmarks_3d(face)[:, :2], len(image), blur=_FACE_BLUR_FACE_FRACTION * face.size)
    head = np.maximum(head, outline)
    _, parts = cv2.connectedComponents((head > 0.5).astype(np.uint8))
    faces = np.bincount(parts[(outline > 0.5) & (parts > 0)].ravel(), minlength=1)
    own = cv2.dilate((parts == faces.argmax()).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    head = np.where(own, head, 0)
    return Mattes(np.maximum(person, head), head)


def _feathered(head: np.ndarray, person: np.ndarray, width: float) -> np.ndarray:
    """Returns the head's matte [R, R] with a soft seam on the body, so that the shadow under a chin goes with it.

    Args:
        head: float32 [R, R], 0 to 1.
        person: float32 [R, R], 0 to 1.
        width: of the seam, pixels.
    """
    distance = cv2.distanceTransform((head < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    share = (1 - distance / max(width, 1)).clip(0, 1)
    return np.maximum(head, share * share * (3 - 2 * share) * person)


def _colors_over(image: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Returns colors [R, R, 3] that give the image when they are composited over what is behind.

    Args:
        image: uint8 [R, R, 3].
        alpha: [R, R], 0 to 1.
        behind: [R, R, 3], 0 to 255.
    """
    difference = image - behind.astype(np.float32)
    return (behind + difference / alpha.clip(_MIN_ALPHA, 1)[..., None]).clip(0, 255)


def _with_alpha(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns uint8 [R, R, 4] of colors [R, R, 3], 0 to 255, and alpha [R, R], 0 to 1."""
    return np.dstack([colors, 255 * alpha]).round().clip(0, 255).astype(np.uint8)
