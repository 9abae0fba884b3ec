"""Separates a portrait into three layers: head, body and background.

The colors of a layer are those that give the image again (the compositing equation of Porter and Duff, 1984, solved
for the foreground). So a head that does not move is its picture.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.imaging.matting import least_alpha, nearest_values
from fewshot_heads.landmarks import JAW, Landmarks
from fewshot_heads.landmarks.pose import landmarks_3d
from fewshot_heads.layers.body_colors import like_skin
from fewshot_heads.layers.hair_gaps import hair_opacity
from fewshot_heads.layers.parsing import Mattes, parse
from fewshot_heads.layers.plates import background_plate, body_layer, disk

MIN_ALPHA = 0.1  # where it divides: fainter wisps keep some of the old background
SILHOUETTE_SHARE = 0.01  # of the image: how far the silhouette of a neck may be from the one that is guessed
_FACE_BLUR_FACE_FRACTION, _SKIN_BLUR_FACE_FRACTION = 0.01, 0.01
_JAW_FACE_FRACTION = 0.02  # how exact its landmarks are
_LARGEST_PIECE_FACES, _LEAST_SKIN = 0.23, 0.4  # side and share of skin of pieces of neck; others are beard, hair, scarf
_STUBBLE_FACE_FRACTION = 0.06  # half of the width of stubble, shadows and gleams that interrupt skin


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
    """Returns the layers of a portrait.

    Composited, they are the image, except where it shows a wall before a part of the body that is guessed, and on a
    neck near the jaw. `rendering.behind_head.shown_body` makes up for both.

    Args:
        image: uint8 RGB [R, R, 3].
        face: landmarks, pixels of the image.
    """
    person, head = _mattes(image, face)
    inpainted, body_alpha, hole, neck = body_layer(image, person, head, face)
    background = background_plate(image, np.maximum(head, body_alpha))
    opacity = hair_opacity(image, head, background, face)
    person, head = person * opacity, head * opacity
    skin = _skin(image, face)
    skin = np.maximum(skin, _enclosed((skin < 0.5) & (head < 0.5), hole))  # deep shade has no hue
    near_body = cv2.dilate(body_alpha, disk(SILHOUETTE_SHARE * len(image))) > MIN_ALPHA
    beside_jaw = _neck_beside_jaw(head, skin, face) & near_body
    matte = np.where(beside_jaw, 0, head)
    # What shows through the head's edge is what is seen beside it, where the body is only guessed.
    shown = np.minimum(body_alpha, nearest_values(person, matte < MIN_ALPHA))
    head = _feathered(matte, person * np.maximum(skin, beside_jaw), hole)
    hidden = (head / MIN_ALPHA).clip(0, 1)[..., None]
    body = hidden * inpainted + (1 - hidden) * _colors_over(image, body_alpha, background)
    behind = background + shown[..., None] * (body - background.astype(np.float32))
    head = np.where(matte > MIN_ALPHA, np.maximum(head, least_alpha(image, behind, (0, 255))), head)
    head_layer = _with_alpha(_colors_over(image, head, behind), head)
    body += neck[..., None] * (inpainted - body)  # a turn uncovers all of a neck, and no bits of what the image shows
    return PortraitLayers(head_layer, _with_alpha(body, body_alpha), background)


def _mattes(image: np.ndarray, face: Landmarks) -> Mattes:
    """Returns the mattes of one person: the face is head, and what is not connected to it is not."""
    person, head = parse(image)
    outline = soft_hull(landmarks_3d(face)[:, :2], len(image), blur=_FACE_BLUR_FACE_FRACTION * face.size)
    head = np.maximum(head, 2 * outline - 1)  # the hull's soft edge lies on the wall
    _, parts = cv2.connectedComponents((head > 0.5).astype(np.uint8))
    faces = np.bincount(parts[(outline > 0.5) & (parts > 0)].ravel(), minlength=1)
    own = cv2.dilate((parts == faces.argmax()).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    head = np.where(own, head, 0)
    return Mattes(np.maximum(person, head), head)


def _skin(image: np.ndarray, face: Landmarks) -> np.ndarray:
    """Returns where the image has the color of the face, with stubble and gleams, float32 [R, R], 0 to 1."""
    fine, wide = (
        2 * round(fraction * face.size) + 1 for fraction in (_SKIN_BLUR_FACE_FRACTION, _STUBBLE_FACE_FRACTION)
    )
    skin = cv2.medianBlur(like_skin(image, face).astype(np.uint8), fine)
    skin = cv2.morphologyEx(skin, cv2.MORPH_CLOSE, np.ones((wide, wide), np.uint8))
    return cv2.blur(skin.astype(np.float32), (fine, fine))


def _neck_beside_jaw(head: np.ndarray, skin: np.ndarray, face: Landmarks) -> np.ndarray:
    """Returns the small pieces of skin below the jaw that the parser takes for head, with their shade, bool [R, R].

    Args:
        head: float32 [R, R], 0 to 1.
        skin: float32 [R, R], 0 to 1.
        face: landmarks, pixels of the image.
    """
    jaw = face.points[JAW][3:-3]  # without its ends, which are at the ears
    bottom = [[jaw[-1, 0], len(head)], [jaw[0, 0], len(head)]]
    below = cv2.fillPoly(np.zeros(head.shape, np.uint8), [np.vstack([jaw, bottom]).round().astype(np.int32)], 1)
    below = cv2.erode(below, disk(_JAW_FACE_FRACTION * face.size)) * (head > MIN_ALPHA)
    count, pieces = cv2.connectedComponents(below)
    areas, of_skin = (np.bincount(pieces.ravel(), weights, count) for weights in (None, skin.ravel()))
    is_neck = (areas < (_LARGEST_PIECE_FACES * face.size) ** 2) & (of_skin > _LEAST_SKIN * areas)
    is_neck[0] = False  # all that is not below the jaw
    return np.asarray(is_neck[pieces])


def _enclosed(mask: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the connected parts of a mask, bool [R, R], that lie within a hole, bool [R, R]."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8))
    return mask & ~np.isin(parts, np.unique(parts[~hole]))


def _feathered(head: np.ndarray, person: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the head's matte [R, R] with a soft seam on the body, so that the shadow under a chin goes with it.

    The seam is as wide as the margin of the hole in the body, and ends at the body's silhouette.

    Args:
        head: float32 [R, R], 0 to 1.
        person: float32 [R, R], 0 to 1.
        hole: bool [R, R], where the body is inpainted.
    """
    inside = hole & (person > 0.5)
    to_head, to_rim = (cv2.distanceTransform(x.astype(np.uint8), cv2.DIST_L2, 5) for x in (head < 0.5, inside))
    share = to_rim / np.maximum(to_head + to_rim, 1)
    return np.maximum(head, share * share * (3 - 2 * share) * person)


def _colors_over(image: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Returns colors [R, R, 3] that give the image when they are composited over what is behind.

    Args:
        image: uint8 [R, R, 3].
        alpha: [R, R], 0 to 1.
        behind: [R, R, 3], 0 to 255.
    """
    difference = image - behind.astype(np.float32)
    return (behind + difference / alpha.clip(MIN_ALPHA, 1)[..., None]).clip(0, 255)


def _with_alpha(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns uint8 [R, R, 4] of colors [R, R, 3], 0 to 255, and alpha [R, R], 0 to 1."""
    return np.dstack([colors, 255 * alpha]).round().clip(0, 255).astype(np.uint8)
