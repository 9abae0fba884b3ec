"""The colours of a face, and what they say of the picture it is in."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import OUTER_LIPS

# The colours of the training faces: logarithms of red, green and blue over their mean. On average, how they go with the
# logarithm of a face's brightness (about 117 levels), and what turns what is left into standard deviations.
_SKIN, _DARKER, _LEVEL = np.array([0.248, -0.049, -0.200]), np.array([-0.169, 0.027, 0.142]), np.log(117)
_DEVIATIONS = np.array([[-4.2, -0.8, 5.1], [-9.7, 15.2, -5.5]])
_USUAL, _UNUSUAL = 1.5, 3.5  # deviations up to which a colour is a person's own, and from which it is the picture's
_GREY = 0.04  # spread of a face's mean colour over its brightness, below which the picture has no colours


def face_colour(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Mean colour [3], 0 to 255, within the hull of jaw, brows, nose and eyes; black if none of it is in the picture.

    picture: uint8 [H, W, 3]; points: landmarks [70, 2] in its pixels.
    """
    hull = points[: OUTER_LIPS.start]
    (left, top), (right, bottom) = np.clip([hull.min(0), hull.max(0) + 1], 0, picture.shape[1::-1]).astype(int)
    part = picture[top:bottom, left:right]
    if not part.size:
        return np.zeros(3)
    face = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull((hull - [left, top]).round().astype(np.int32)), 1)
    return np.array(cv2.mean(part, face)[:3])


def cast(colour: np.ndarray) -> np.ndarray:
    """Gains [3] of the channels, 1 in the mean (von Kries), that give what is seen in white light the cast of a picture
    by its `face_colour` [3].

    Only so far as no skin has such a colour: teeth are white in a dark face too. None for a face without colour.
    """
    if not _has_colour(colour):
        return np.ones(3)
    logs = np.log(colour + 1)
    level = logs.mean()
    away = logs - level - _SKIN
    unusual = np.linalg.norm(_DEVIATIONS @ (away - _DARKER * (level - _LEVEL)))
    share = np.clip((unusual - _USUAL) / (_UNUSUAL - _USUAL), 0, 1)
    gains = np.exp(share * away)
    return np.clip(gains / gains.mean(), 0.5, 2.0)


def palette(colour: np.ndarray) -> np.ndarray:
    """[3, 3] that brings paint, made for photographs in colour, to the colours of a picture by its `face_colour` [3].

    Its `cast`, for a painting under yellow varnish would otherwise get teeth of another world; the mean of the channels
    for a face without colour.
    """
    return np.diag(cast(colour)) if _has_colour(colour) or not colour.any() else np.full((3, 3), 1 / 3)


def _has_colour(colour: np.ndarray) -> bool:
    return bool(np.ptp(colour) >= _GREY * (colour.mean() + 1))
