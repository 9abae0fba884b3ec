"""Clean plates of a portrait: the background without the person, and the body without the head."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.rendering.body_outline import Axis, body_under_head, nearest
from fewshot_heads.rendering.patch_fill import fill

_PERSON = 0.1  # opacity from which a pixel may show the person
_HEAD = 0.1
_HEAD_MARGIN = 0.06
_SOLID = 0.9
_MARGIN_FRACTION = 0.02  # of the longer side: hair and its blur reach so far beyond a matte


def background_plate(image: np.ndarray, person: np.ndarray) -> np.ndarray:
    size = max(person.shape)
    margin = max(round(_MARGIN_FRACTION * size), 1)
    hidden = cv2.dilate((person > _PERSON).astype(np.uint8), _disk(margin)) > 0
    if hidden.all():
        hidden = person >= person.max()
    return np.rint(fill(image, ~hidden)).clip(0, 255).astype(np.uint8)


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def body_layer(image: np.ndarray, person: np.ndarray, head: np.ndarray, face: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    axis = Axis.of(face)
    unit = axis.unit
    hole = cv2.dilate((head > _HEAD).astype(np.uint8), _disk(max(round(_HEAD_MARGIN * unit), 1))) > 0
    under = body_under_head(person, hole, axis)
    soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), max(0.015 * unit, 0.5))
    alpha = np.where(hole, 1.0, soft) * under + np.where(hole, 0.0, 1 - soft) * person
    alpha = np.where(hole, under, person)
    known = (person > _SOLID) & ~hole
    if not known.any():
        known = person > 2
    wanted = hole & (under > 0)
    neck = _neck(image, known, hole, axis)
    rgb = fill(image, known & ~neck if (known & ~neck).sum() > known.sum() / 10 else known, wanted)
    rgb[known] = image[known]
    if neck.any():
        skin = fill(image, neck, wanted)
        is_neck = nearest(neck, known).astype(np.float32)
        y = np.arange(len(hole))[:, None]
        rise = np.clip((axis.base[1] - y) / (0.2 * unit) + 0.5, 0, 1)
        is_neck = cv2.GaussianBlur(np.maximum(is_neck, rise), (0, 0), 0.02 * unit) * hole
        rgb += is_neck[..., None] * (skin - rgb)
    return np.rint(rgb).clip(0, 255).astype(np.uint8), alpha.astype(np.float32)


def _neck(image, known, hole, axis):
    """known pixels of the neck, or of what is visible in its place"""
    unit = axis.unit
    y, x = np.mgrid[: hole.shape[0], : hole.shape[1]].astype(np.float32)
    column = np.abs(x - axis.x(y[:, 0])[:, None]) < 0.55 * unit
    ring = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    near = known & column & (y > axis.base[1] - 0.4 * unit)
    rim = near & (ring < 0.1 * unit)
    if rim.sum() < 8:
        return np.zeros_like(hole)
    color = np.median(image[rim], 0)
    spread = np.median(np.abs(image[rim] - color).sum(1))
    return near & (ring < 0.5 * unit) & (np.abs(image - color).sum(2) < 3 * spread + 24)
