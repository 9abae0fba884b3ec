"""The colors of a face, and what they say of the picture it is in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fewshot_heads.landmarks import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from fewshot_heads.landmarks.aspect_ratio import eye_is_open

# The colors of the training faces: logarithms of red, green and blue over their mean. On average, how they go with the
# logarithm of a face's brightness (about 117 levels), and what turns what is left into standard deviations.
_SKIN, _DARKER, _LEVEL = np.array([0.248, -0.049, -0.200]), np.array([-0.169, 0.027, 0.142]), np.log(117)
_DEVIATIONS = np.array([[-4.2, -0.8, 5.1], [-9.7, 15.2, -5.5]])
_USUAL, _UNUSUAL = 1.5, 3.5  # deviations up to which a color is a person's own, and from which it is the picture's
_GREY = 0.04  # spread of a face's mean color over its brightness, below which the picture has no colors
_WHITE = np.array([0.05, 0.0, -0.05])  # the same logarithms of the white of an eye, in white light
_PALE = 0.2  # share of an eye's bright pixels that are taken for its white: those with the least red for their blue
_LIGHT = 0.5  # of a face's brightness: darker pixels of an eye are lashes, pupil, iris
_FEWEST = 12  # such pixels, of both eyes, or nothing is said of their white


@dataclass(frozen=True)
class FaceColor:
    """Mean colors of a face in a picture, 0 to 255 in red, green and blue.

    skin [3]: within the hull of jaw, brows, nose and eyes, black if none of it is in the picture; white [3]: of the
    eyes, None where they are shut or too small to tell.
    """

    skin: np.ndarray
    white: np.ndarray | None = None

    @classmethod
    def of(cls, picture: np.ndarray, points: np.ndarray) -> FaceColor:
        """Of the face with landmarks [70, 2] in a picture uint8 [H, W, 3], in its pixels."""
        hull = cv2.convexHull(points[: OUTER_LIPS.start].astype(np.float32))[:, 0]
        part, inside = _around(picture, hull)
        if not inside.any():
            return cls(np.zeros(3))
        skin = np.array(cv2.mean(part, inside)[:3])
        around = [_around(picture, points[eye]) for eye in (RIGHT_EYE, LEFT_EYE) if eye_is_open(points[eye])]
        eyes = np.concatenate([part[:0, 0], *(eye[shown > 0] for eye, shown in around)])
        eyes = eyes[eyes.mean(1) > _LIGHT * skin.mean()]
        if len(eyes) < _FEWEST:
            return cls(skin)
        logs = _logs(eyes)
        red = logs[:, 0] - logs[:, 2]
        return cls(skin, eyes[red <= np.quantile(red, _PALE)].mean(0))

    @property
    def brightness(self) -> float:
        """Mean level of the face, 0 to 255."""
        return float(self.skin.mean())

    @property
    def channel_gains(self) -> np.ndarray:
        """Gains [3] of the channels, 1 in the mean (von Kries), that give what is seen in white light the cast of the
        picture; ones where it has no colors.

        Of what sets the skin apart from that of other people, it is as much as no skin would have, or, if that is
        golden, as the white of the eyes has too: teeth are white in a dark face, and golden under a golden varnish.
        """
        if not self._in_color:
            return np.ones(3)
        logs = _logs(self.skin)
        away = logs - _SKIN
        level = np.log(self.skin + 1).mean() - _LEVEL
        unusual = np.linalg.norm(_DEVIATIONS @ (away - _DARKER * level))
        share = (unusual - _USUAL) / (_UNUSUAL - _USUAL)
        if self.white is not None and away[0] > away[2]:  # blue is the iris's as often as the light's
            share = max(share, (_logs(self.white) - _WHITE) @ away / max(away @ away, 1e-9))
        gains = np.exp(np.clip(share, 0, 1) * away)
        return np.clip(gains / gains.mean(), 0.5, 2.0)

    @property
    def color_matrix(self) -> np.ndarray:
        """[3, 3] that brings paint, made for photographs in color, to the colors of the picture: its `cast`; the mean
        of the channels for a picture without colors."""
        return np.diag(self.channel_gains) if self._in_color or not self.skin.any() else np.full((3, 3), 1 / 3)

    @property
    def _in_color(self) -> bool:
        return bool(np.ptp(self.skin) >= _GREY * (self.skin.mean() + 1))


def _logs(colors: np.ndarray) -> np.ndarray:
    """Logarithms of colors [..., 3] over their mean."""
    logs = np.log(colors + 1.0)
    return logs - logs.mean(-1, keepdims=True)


def _around(picture: np.ndarray, outline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part [h, w, 3] of a picture about an outline [P, 2], and uint8 [h, w], 1 within it."""
    (left, top), (right, bottom) = np.clip([outline.min(0), outline.max(0) + 1], 0, picture.shape[1::-1]).astype(int)
    part = picture[top:bottom, left:right]
    inside = np.zeros(part.shape[:2], np.uint8)
    if inside.size:
        cv2.fillPoly(inside, [(outline - [left, top]).round().astype(np.int32)], 1)
    return part, inside
