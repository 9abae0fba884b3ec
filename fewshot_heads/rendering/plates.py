"""Clean plates of a portrait: the background without the person, and the body without the head."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.rendering.body_outline import Axis, body_under_head, nearest
from fewshot_heads.rendering.patch_fill import fill, smooth_layer

_PERSON = 0.1  # opacity from which a pixel may show the person
_STRAY_FRACTION = 0.08
_HEAD = 0.1
_HEAD_MARGIN = 0.06
_CHIN_MARGIN = 0.14
_NECK_TEXTURE = 0.4
_NECK_SMOOTHING = 0.02
_SOLID = 0.9
_MARGIN_FRACTION = 0.02  # of the longer side: hair and its blur reach so far beyond a matte


def background_plate(image: np.ndarray, person: np.ndarray) -> np.ndarray:
    size = max(person.shape)
    hidden = cv2.dilate((person > _PERSON).astype(np.uint8), _disk(max(round(_MARGIN_FRACTION * size), 1))) > 0
    if hidden.all():
        hidden = person >= person.max()
    hidden |= _strays(image, hidden)
    return np.rint(fill(image, ~hidden)).clip(0, 255).astype(np.uint8)


def _strays(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Pixels beside the person that differ from the wall there: hairs that the matte lacks. None in textures."""
    size = max(hidden.shape)
    if hidden.all() or not hidden.any():
        return np.zeros_like(hidden)
    away = cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    near = (away < _STRAY_FRACTION * size) & ~hidden
    far = ~near & ~hidden
    difference = np.abs(image - smooth_layer(image.astype(np.float32), ~hidden, 0.05)).max(2)
    if far.sum() < 0.02 * far.size:
        return np.zeros_like(hidden)
    limit = max(1.5 * float(np.percentile(difference[far], 98)), 5.0)
    strays = (near & (cv2.blur(difference, (3, 3)) > limit)).astype(np.uint8)
    return cv2.dilate(strays, _disk(max(round(0.006 * size), 1))) > 0


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def body_layer(image: np.ndarray, person: np.ndarray, head: np.ndarray, face: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    axis = Axis.of(face)
    hole = _head_hole(head, axis)
    under = body_under_head(person, hole, axis)
    alpha = np.where(hole, under, _without_specks(person, hole, axis))
    rgb = image.copy()
    box = _box(hole & (under > 0), round(0.6 * axis.unit))
    if box is not None:
        rgb[box] = _colors(image, alpha, hole, face, axis, box)
    return rgb, alpha.astype(np.float32)


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return tuple(slice(max(each[0] - margin, 0), each[-1] + margin + 1) for each in (rows, columns))


def _colors(image, alpha, hole, face, axis, box):
    solid = cv2.erode((alpha > _SOLID).astype(np.uint8), _disk(max(round(0.02 * axis.unit), 1)))
    known = (solid > 0) & ~hole
    if not known.any():
        known = (alpha > _SOLID)  # nothing but the head
    neck = _neck(image, known, hole, face, axis)[box]
    y, x = (np.arange(n, dtype=np.float32) for n in hole.shape)
    column = np.clip(0.5 + (0.7 * axis.unit - np.abs(x - axis.x(y)[:, None])) / (0.1 * axis.unit), 0, 1)
    rise = (np.clip((axis.base[1] - y) / (0.2 * axis.unit) + 1.2, 0, 1)[:, None] * column)[box]
    image, known, hole, wanted = image[box], known[box], hole[box], (hole & (alpha > 0))[box]
    share = np.where(hole, np.maximum(nearest(neck, known), rise), neck | ~known).astype(np.float32)
    share = cv2.GaussianBlur(share, (0, 0), 0.03 * axis.unit) * (hole & neck.any())
    clothes = known & ~neck
    rgb = fill(image, clothes if clothes.sum() > known.sum() / 10 else known, wanted & (share < 0.99))
    rgb[known] = image[known]
    if neck.any():
        rgb += share[..., None] * (fill(image, neck, wanted & (share > 0.01), _NECK_SMOOTHING, _NECK_TEXTURE) - rgb)
    rgb[~known & ~hole] = image[~known & ~hole]
    return np.rint(rgb).clip(0, 255).astype(np.uint8)


def _head_hole(head: np.ndarray, axis: Axis) -> np.ndarray:
    """Head with margin. Below the chin wider: its shadow's edge would stay as a line."""
    solid = (head > _HEAD).astype(np.uint8)
    hole = cv2.dilate(solid, _disk(max(round(_HEAD_MARGIN * axis.unit), 1)))
    chin = solid.copy()
    y, x = (np.arange(n, dtype=np.float32) for n in head.shape)
    chin[np.abs(x - axis.x(y)[:, None]) > 0.75 * axis.unit] = 0
    hole |= cv2.dilate(chin, _disk(max(round(_CHIN_MARGIN * axis.unit), 1)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - hole)
    islands = stats[:, cv2.CC_STAT_AREA] < 0.1 * axis.unit**2
    islands[0] = False
    return (hole > 0) | islands[labels]


def _without_specks(person, hole, axis):
    body = ((person > 0.05) & ~hole).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(body)
    big = stats[:, cv2.CC_STAT_AREA] > 0.1 * axis.unit**2
    big |= stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT] >= len(person)
    big[0] = False
    return person * big[labels]


def _neck(image, known, hole, face, axis):
    """known pixels of the neck, or of what is visible in its place"""
    unit = axis.unit
    y, x = (np.arange(n, dtype=np.float32) for n in hole.shape)
    column = np.abs(x - axis.x(y)[:, None]) < 0.6 * unit
    ring = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    near = known & column & (y > axis.base[1] - 0.4 * unit)[:, None] & (ring < 0.5 * unit)
    even = 2 * max(round(0.03 * unit), 1) + 1
    skin = near & (cv2.medianBlur(_like_skin(image, face).astype(np.uint8), even) > 0)
    if (skin & (ring < 0.15 * unit)).sum() > 0.02 * unit**2:
        return skin
    rim = near & (ring < 0.1 * unit)
    if rim.sum() < 8:
        return np.zeros_like(hole)
    color = np.median(image[rim], 0)
    spread = np.median(np.abs(image[rim] - color).sum(1))
    return near & (np.abs(image - color).sum(2) < 3 * spread + 24)


def _like_skin(image, face):
    """bool [H, W]: the hue of the cheeks, from deep shade to somewhat brighter."""
    cheeks = (face.points[[31, 35]] + face.points[[3, 13]]) / 2
    size = max(round(0.04 * face.size), 1)
    colors = [
        image[max(int(y) - size, 0) : int(y) + size + 1, max(int(x) - size, 0) : int(x) + size + 1].reshape(-1, 3)
        for x, y in cheeks
    ]
    colors = np.concatenate(colors)
    if not len(colors):
        return np.zeros(image.shape[:2], bool)
    cheek = np.median(colors, 0) + 1.0
    total = image.sum(2, dtype=np.float32) + 3.0
    hue = np.abs((image + 1.0) / total[..., None] - cheek / cheek.sum()).sum(2)
    light = total / cheek.sum()
    return (hue < 0.14) & (light > 0.2) & (light < 1.5)
