"""Continues a portrait beyond the edges of its picture, where the crop of the head needs pixels that do not exist.

What an edge cuts off of a head is closed by half an ellipse, and a body goes on as it crosses the edge. Hair, clothes
and the wall are then continued from their own pixels (`patch_fill`).
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.imaging.masks import bounding_box
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import HEAD_ANCHORS, fit_pose
from fewshot_heads.layers.parsing import Mattes, parse
from fewshot_heads.layers.patch_fill import fill
from fewshot_heads.layers.plates import with_margin
from fewshot_heads.rendering.head_parts import find_skin

_OPAQUE = 0.9  # opacity of pixels that show one layer
_MIN_BULGE, _MAX_BULGE = 0.15, 0.5  # height of a closed outline over the length of its cut
# Head units, see `landmarks.pose`.
_HAIR_HEAD_UNITS = 0.15  # thickness of hair on the mean head
_SOFT_HEAD_UNITS = 0.04  # width of a closed outline's edge
_NEAR_HEAD_UNITS = 0.8  # around what is filled: from there the colors come
_RAMP_HEAD_UNITS = 0.08  # in which the pixels at the picture's edge become the filled ones


def outpaint(image: np.ndarray, inside: tuple[slice, slice], face: Landmarks) -> np.ndarray:
    """Returns the image with the pixels that are not of the picture continued, uint8 [R, R, 3].

    Args:
        image: uint8 RGB [R, R, 3].
        inside: rows and columns that are pixels of the picture. The others are not read.
        face: landmarks, pixels of the image.
    """
    known = np.zeros(image.shape[:2], bool)
    known[inside] = True
    if known.all() or not known.any():
        return image
    unit = fit_pose(face).scale
    body, head = _continued(parse(np.ascontiguousarray(image[inside])), inside, len(image), face)
    hair = _hair(image, head > _OPAQUE, face)
    repeated = _repeated(image[inside], inside, len(image)).astype(np.float32)
    distance = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    share = (distance / (_RAMP_HEAD_UNITS * unit)).clip(0, 1)[..., None]
    result = repeated.copy()
    for matte, own in ((np.ones_like(head), ~with_margin(body + head)), (body, body > _OPAQUE), (head, hair)):
        own, wanted = own & known, ~known & (matte > 0)
        if not wanted.any():
            continue
        box = bounding_box(wanted, round(_NEAR_HEAD_UNITS * unit))
        colors: np.ndarray = repeated[box]
        if own[box].any():  # else the pixels at the edge are all that is known
            colors = colors + share[box] * (fill(image[box], own[box], wanted[box]) - colors)
        result[box] += matte[box][..., None] * (colors - result[box])
    return np.where(known[..., None], image, np.rint(result).clip(0, 255).astype(np.uint8))


def _hair(image: np.ndarray, head: np.ndarray, face: Landmarks) -> np.ndarray:
    """Returns the pixels of hair, beard or hat, bool [R, R].

    Args:
        image: uint8 [R, R, 3].
        head: bool [R, R].
        face: landmarks, pixels of the image.
    """
    inner_face, skin = find_skin(image, head, face)
    return head & ~inner_face & ~skin


def _repeated(values: np.ndarray, inside: tuple[slice, slice], size: int) -> np.ndarray:
    """Returns values [h, w, ...] of the visible part, whose edges are repeated beyond it, [R, R, ...]."""
    padding = [(part.start, size - part.stop) for part in inside]
    return np.pad(values, [*padding, *[(0, 0)] * (values.ndim - 2)], mode="edge")


def _continued(
    mattes: Mattes, inside: tuple[slice, slice], size: int, face: Landmarks
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the opacities of body and head, continued beyond the edges, float32 [R, R] each.

    Args:
        mattes: of the visible part.
        inside: its rows and columns.
        size: side R.
        face: landmarks, pixels of the image.
    """
    rows, columns = inside
    pose = fit_pose(face)
    soft, hair = _SOFT_HEAD_UNITS * pose.scale, _HAIR_HEAD_UNITS * pose.scale
    anchors = pose.apply(HEAD_ANCHORS)
    (left, crown, _), right = anchors.min(0) - hair, anchors[:, 0].max() + hair
    head = np.rot90(_closed(np.rot90(mattes.head), size - columns.stop, right - columns.stop, soft), -1)
    head = np.rot90(_closed(np.rot90(head, -1), columns.start, columns.start - left, soft))
    head = _closed(head, rows.start, rows.start - crown, soft)
    head = np.pad(head, ((0, size - rows.stop), (0, 0)), mode="edge")
    return _repeated(mattes.person - mattes.head, inside, size) * (1 - head), head


def _closed(head: np.ndarray, count: int, height: float, soft: float) -> np.ndarray:
    """Returns a matte with rows added above, in which what the upper edge cuts off is closed by half ellipses.

    Args:
        head: float32 [H, W], 0 to 1.
        count: rows to add.
        height: of the ellipses if their widths permit it, pixels.
        soft: width of their edges, pixels.
    """
    y, x = np.arange(count, 0, -1, dtype=np.float32)[:, None] - 0.5, np.arange(head.shape[1], dtype=np.float32) + 0.5
    added = np.zeros((count, head.shape[1]), np.float32)
    edge = np.r_[0, head[0] > 0.5, 0].astype(int)
    for first, last in zip(np.flatnonzero(np.diff(edge) > 0), np.flatnonzero(np.diff(edge) < 0), strict=True):
        # Of an ellipse that a corner cuts off, half is seen.
        low, high = first - (last - first) * (first == 0), last + (last - first) * (last == head.shape[1])
        width = high - low
        tall = np.clip(height, _MIN_BULGE * width, _MAX_BULGE * width)
        radius = np.hypot((x - (low + high) / 2) / (width / 2), y / tall)
        added = np.maximum(added, np.clip(0.5 + (1 - radius) * min(tall, width / 2) / soft, 0, 1))
    return np.vstack([added, head]).astype(np.float32)
