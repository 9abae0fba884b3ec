"""Whether a source image shows lips, or a surgical mask or a hand in front of them."""

from __future__ import annotations

import logging

import cv2
import numpy as np

from fewshot_heads.head import Head
from fewshot_heads.imaging.face_color import chroma_spread, is_monochrome
from fewshot_heads.landmarks import (
    INNER_LIPS,
    LEFT_EYE,
    LEFT_MOUTH_CORNER,
    LIPS,
    LOWER_INNER_LIP,
    OUTER_LIPS,
    RIGHT_EYE,
    RIGHT_MOUTH_CORNER,
    UPPER_INNER_LIP,
    Landmarks,
)
from fewshot_heads.landmarks.crop import Crop

_log = logging.getLogger(__name__)

_SIDE_PIXELS = 128  # of the image in which the mouth is compared with its surroundings, twice as wide as the mouth
_SEAM_PIXELS = 3  # width of the line between the lips
# The ring of skin around the mouth, inner and outer border: horizontal scale, and pixels above and below.
_RING = ((1.15, 3.0), (1.45, 9.0))
# Differences that count as one, in natural logarithms: red over green and green over blue of lips and ring, level of
# lips and ring, level of the line between the lips and of the lips.
_UNITS = np.array([0.02, 0.02, 0.05, 0.08])
# In 262 pictures of faces, each also at a quarter of its brightness, the lips of colored ones differed by 2.9 units or
# more. In 470 pictures with a drawn mask of four colors or a drawn hand, all differed by less than this.
_MIN_DIFFERENCE = 1.6
# Least red over green of lips, natural logarithm, above that of the bridge of the nose: lips are about as red as skin.
# In 670 pictures without a cover the least is -0.17. At -0.18 more microphones are noticed, and soon pale lips too.
_MIN_REDNESS = -0.24
# Least contrast of the line between the lips over that of the eyes, which share its light and sharpness. Where nothing
# covers the mouth, no picture of 3,253 but those with other differences has less, and 1 % of strongly blurred ones.
_MIN_LINE_CONTRAST = 0.08
_LINE_SAMPLES, _LIP_PIXELS, _LINE_SEARCH_PIXELS = 32, 5, 2  # along the line, to the lips, and to its darkest row
_EYE_MARGIN_PIXELS = 4
_NOSE_BRIDGE = [39, 42, 30]  # inner corners of the eyes and tip of the nose
_LEVEL_OFFSET = 8.0  # added to levels of 0 to 255, so that noise in the dark makes no large logarithms


def mouth_is_covered(head: Head) -> bool:
    """Returns whether something covers the mouth of a head's picture, and logs it."""
    return lips_are_covered(head.picture, head.crop.from_crop(head.landmarks[0]), "the source")


def lips_are_covered(image: np.ndarray, face: Landmarks, name: str) -> bool:
    """Returns `shows_no_lips`, and logs it.

    Args:
        image: uint8 RGB [H, W, 3].
        face: landmarks, image pixels.
        name: of the person, for the message.
    """
    covered = shows_no_lips(image, face)
    if covered:
        _log.warning("something covers the mouth of %s; the mouth stays as it is", name)
    return covered


def shows_no_lips(image: np.ndarray, face: Landmarks) -> bool:
    """Returns whether something covers a mouth.

    A detector places lips on cloth too. But lips differ from the skin around, are about as red as the nose, and have a
    line between them. An image without colors says too little, so its mouth counts as visible.

    Args:
        image: uint8 RGB [H, W, 3].
        face: landmarks, image pixels.
    """
    crop = Crop.around([face], 2 * _SIDE_PIXELS)
    square = crop.cut(image)
    if is_monochrome(chroma_spread(square)):
        return False
    return not (
        lip_difference(image, face) >= _MIN_DIFFERENCE
        and lip_redness(square, crop.to_crop(face)) >= _MIN_REDNESS
        and line_contrast(image, face) >= _MIN_LINE_CONTRAST
    )


def lip_difference(image: np.ndarray, face: Landmarks) -> float:
    """Returns how much lips, the skin around and the line between them differ in color and level.

    Args:
        image: uint8 RGB [H, W, 3].
        face: landmarks, image pixels.
    """
    mouth, points = _upright(image, face, LIPS)
    outer, inner = points[: INNER_LIPS.start - OUTER_LIPS.start], points[INNER_LIPS.start - OUTER_LIPS.start :]
    seam = _filled(inner) | _drawn(inner)
    lips = _filled(outer) & ~seam
    inner_border, outer_border = (_filled(_grown(outer, *border)) for border in _RING)
    ring = outer_border & ~inner_border
    if not (lips.any() and ring.any() and seam.any()):
        return np.inf  # too small to say
    logs = np.log(cv2.GaussianBlur(mouth, (0, 0), 1).astype(np.float64) + _LEVEL_OFFSET)
    features = np.dstack([logs[..., 0] - logs[..., 1], logs[..., 1] - logs[..., 2], logs.mean(-1)])
    to_ring = features[lips].mean(0) - features[ring].mean(0)
    to_seam = features[seam].mean(0)[2] - features[lips].mean(0)[2]
    return float(np.linalg.norm(np.append(to_ring, to_seam) / _UNITS))


def lip_redness(image: np.ndarray, face: Landmarks) -> float:
    """Returns how much redder lips are than the bridge of the nose, natural logarithm of red over green.

    Args:
        image: uint8 RGB [S, S, 3].
        face: landmarks, image pixels.
    """
    logs = np.log(cv2.GaussianBlur(image, (0, 0), 1)[..., :2].astype(np.float64) + _LEVEL_OFFSET)
    redness, side = logs[..., 0] - logs[..., 1], len(image)
    lips, bridge = (_filled(face.points[rows], side) for rows in (OUTER_LIPS, _NOSE_BRIDGE))
    if not (lips.any() and bridge.any()):
        return np.inf  # outside the image
    return float(np.median(redness[lips]) - np.median(redness[bridge]))


def line_contrast(image: np.ndarray, face: Landmarks) -> float:
    """Returns the contrast of the line between the lips over that of the eyes, in levels' logarithms.

    The line is a mouth's inside too. It may be darker than the lips, or have brighter teeth.

    Args:
        image: uint8 RGB [H, W, 3].
        face: landmarks, image pixels.
    """
    mouth, points = _upright(image, face, LIPS)
    lips = np.vstack([np.zeros((OUTER_LIPS.start, 2)), points])  # rows as in `Landmarks.points`
    upper, lower = (lips[[INNER_LIPS.start, *row, INNER_LIPS.start + 4]] for row in (UPPER_INNER_LIP, LOWER_INNER_LIP))
    along = np.linspace(0.4, 3.6, _LINE_SAMPLES)
    x, y = (np.interp(along, np.arange(5), row).astype(np.float32) for row in ((upper + lower) / 2).T)
    to_lips = _LIP_PIXELS + np.linalg.norm(upper - lower, axis=1).max() / 2
    rows = np.array([-to_lips, to_lips, *range(-_LINE_SEARCH_PIXELS, _LINE_SEARCH_PIXELS + 1)], np.float32)[:, None]
    level = cv2.remap(_level(mouth), x + 0 * rows, y + rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    line = np.sqrt(((level[:2].mean(0) - level[2:].min(0)) ** 2).mean())
    return float(line / max(_eye_contrast(image, face, eye) for eye in (RIGHT_EYE, LEFT_EYE)))


def _eye_contrast(image: np.ndarray, face: Landmarks, eye: slice) -> float:
    """Returns the deviation of levels in and around an eye, natural logarithm."""
    square, points = _upright(image, face, eye)
    size = 2 * _EYE_MARGIN_PIXELS + 1
    around = cv2.dilate(_filled(points).astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    return max(float(_level(square)[around].std()), 1e-3) if around.any() else 1.0


def _level(image: np.ndarray) -> np.ndarray:
    """Returns the level of an image as a natural logarithm, float32 [H, W]."""
    level: np.ndarray = np.log(cv2.GaussianBlur(image, (0, 0), 1).astype(np.float32) + _LEVEL_OFFSET).mean(-1)
    return level


def _upright(image: np.ndarray, face: Landmarks, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image around some points, upright and twice as wide as a mouth, uint8 [128, 128, 3], and the points.

    Args:
        image: uint8 RGB [H, W, 3].
        face: landmarks, image pixels.
        rows: of the points.
    """
    points = face.points[rows].astype(np.float64)
    across = face.points[LEFT_MOUTH_CORNER] - face.points[RIGHT_MOUTH_CORNER]
    width = max(float(np.linalg.norm(across)), 1.0)
    (x, y), scale = across / width, _SIDE_PIXELS / (2 * width)
    rotation = scale * np.array([[x, y], [-y, x]])
    shift = _SIDE_PIXELS / 2 - rotation @ points.mean(0)
    matrix = np.column_stack([rotation, shift])
    square = cv2.warpAffine(image, matrix, (_SIDE_PIXELS, _SIDE_PIXELS), borderMode=cv2.BORDER_REPLICATE)
    return square, points @ rotation.T + shift


def _grown(outline: np.ndarray, scale: float, margin: float) -> np.ndarray:
    """Returns an outline [P, 2], wider by a scale, and higher by a margin above and below, pixels."""
    center = outline.mean(0)
    return center + (outline - center) * [scale, 1] + np.sign(outline - center) * [0, margin]


def _filled(outline: np.ndarray, side: int = _SIDE_PIXELS) -> np.ndarray:
    """Returns the inside of an outline [P, 2], bool [side, side]."""
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    return mask > 0


def _drawn(outline: np.ndarray) -> np.ndarray:
    """Returns the line along an outline [P, 2], bool [128, 128]."""
    mask = np.zeros((_SIDE_PIXELS, _SIDE_PIXELS), np.uint8)
    cv2.polylines(mask, [outline.round().astype(np.int32)], True, 1, _SEAM_PIXELS)
    return mask > 0
