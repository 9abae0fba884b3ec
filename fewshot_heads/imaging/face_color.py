"""Colors of a face, and the color cast of the image that they reveal."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fewshot_heads.landmarks import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from fewshot_heads.landmarks.aspect_ratio import eye_is_open

# Statistics of the training faces. Log chroma: logarithms of red, green and blue minus their mean, [3].
_SKIN_LOG_CHROMA = np.array([0.248, -0.049, -0.200])  # mean over the faces
_LOG_CHROMA_PER_LOG_BRIGHTNESS = np.array([-0.169, 0.027, 0.142])  # darker skin is redder
_MEAN_LOG_BRIGHTNESS = np.log(117)  # 117 of 255 levels
_WHITENING = np.array([[-4.2, -0.8, 5.1], [-9.7, 15.2, -5.5]])  # from log chroma to standard deviations
# Standard deviations from the mean skin: up to 1.5 the color is the person's, from 3.5 on it is the image's cast.
_USUAL_DEVIATIONS, _UNUSUAL_DEVIATIONS = 1.5, 3.5
_EYE_WHITE_LOG_CHROMA = np.array([0.05, 0.0, -0.05])  # white of an eye in white light
_GRAYSCALE_CHANNEL_RANGE = 0.04  # range of the channels over the brightness; below it the image has no colors
_EYE_WHITE_FRACTION = 0.2  # of an eye's bright pixels, those with the least red for their blue
_EYE_WHITE_MIN_BRIGHTNESS = 0.5  # over the face's brightness; darker pixels are lashes, pupil or iris
_EYE_WHITE_MIN_PIXELS = 12  # bright pixels of both eyes; with fewer the white is unknown
# `chroma_spread` of an image without colors. In 25 faces, colored mouths had 0.05 or more, and sepia ones 0.015.
_MAX_MONOCHROME_SPREAD = 0.025
_GAIN_LIMITS = (0.5, 2.0)
_NOISE_LEVELS = 2.0  # of colors: a drawn face of one color has no deviations
_USUAL_SHARE = 0.7  # of the colors of a face that are skin in usual light


@dataclass(frozen=True)
class FaceColor:
    """Mean colors of a face in an image, RGB, 0 to 255.

    Attributes:
        skin: [3], mean inside the hull of jaw, brows, nose and eyes. Black if the hull is outside the image.
        white: [3], white of the eyes. None if both eyes are closed or too small to measure.
    """

    skin: np.ndarray
    white: np.ndarray | None = None

    @classmethod
    def of(cls, image: np.ndarray, points: np.ndarray) -> FaceColor:
        """Returns the colors of a face.

        Args:
            image: uint8 RGB [H, W, 3].
            points: landmarks [70, 2], image pixels.
        """
        hull = cv2.convexHull(points[: OUTER_LIPS.start].astype(np.float32))[:, 0]
        face, face_mask = _cut_around(image, hull)
        if not face_mask.any():
            return cls(np.zeros(3))
        skin = np.array(cv2.mean(face, face_mask)[:3])
        eyes = [_cut_around(image, points[eye]) for eye in (RIGHT_EYE, LEFT_EYE) if eye_is_open(points[eye])]
        pixels = np.concatenate([face[:0, 0], *(eye[eye_mask > 0] for eye, eye_mask in eyes)])
        pixels = pixels[pixels.mean(1) > _EYE_WHITE_MIN_BRIGHTNESS * skin.mean()]
        if len(pixels) < _EYE_WHITE_MIN_PIXELS:
            return cls(skin)
        log_chroma = _log_chroma(pixels)
        redness = log_chroma[:, 0] - log_chroma[:, 2]
        return cls(skin, pixels[redness <= np.quantile(redness, _EYE_WHITE_FRACTION)].mean(0))

    @property
    def brightness(self) -> float:
        """Mean level of the face, 0 to 255."""
        return float(self.skin.mean())

    @property
    def channel_gains(self) -> np.ndarray:
        """Channel gains [3], mean 1, from white light to the image's color cast (von Kries).

        The gains express only a part of the difference between this skin and the mean skin. The part grows from 0 for a
        usual skin color to 1 for a color that no skin has. For a golden skin, the white of the eyes counts too: teeth
        are white in a dark face, but golden under a golden varnish. An image without colors has gains of 1.
        """
        if not self.in_color:
            return np.ones(3)
        log_chroma = _log_chroma(self.skin)
        cast = log_chroma - _SKIN_LOG_CHROMA
        log_brightness = np.log(self.skin + 1).mean() - _MEAN_LOG_BRIGHTNESS
        deviations = np.linalg.norm(_WHITENING @ (cast - _LOG_CHROMA_PER_LOG_BRIGHTNESS * log_brightness))
        fraction = (deviations - _USUAL_DEVIATIONS) / (_UNUSUAL_DEVIATIONS - _USUAL_DEVIATIONS)
        if self.white is not None and cast[0] > cast[2]:  # blue in an eye comes from the iris as often as from light
            white_cast = _log_chroma(self.white) - _EYE_WHITE_LOG_CHROMA
            fraction = max(fraction, white_cast @ cast / max(cast @ cast, 1e-9))
        gains = np.exp(np.clip(fraction, 0, 1) * cast)
        return np.clip(gains / gains.mean(), *_GAIN_LIMITS)

    @property
    def color_matrix(self) -> np.ndarray:
        """Matrix [3, 3] that maps colors of color photographs to the image's colors.

        The matrix has the `channel_gains` on its diagonal. For an image without colors, the matrix averages the
        channels.
        """
        return np.diag(self.channel_gains) if self.in_color or not self.skin.any() else np.full((3, 3), 1 / 3)

    @property
    def in_color(self) -> bool:
        """Whether the image has colors."""
        return bool(np.ptp(self.skin) >= _GRAYSCALE_CHANNEL_RANGE * (self.skin.mean() + 1))


def chroma_spread(image: np.ndarray) -> float:
    """Returns how far the colors of an image spread around one tint, over the mean level.

    A tint, as of sepia, makes the differences of the channels a linear function of the level.

    Args:
        image: uint8 RGB [H, W, 3].
    """
    # A row for each channel: numpy is slow along sides of 3.
    red, green, blue = np.ascontiguousarray(image.reshape(-1, 3).T, dtype=np.float64)
    level = (red + green + blue) / 3
    mean = level.mean()
    level -= mean
    differences = np.stack([red - green, blue - green])
    # Linear regression by sums: a call of LAPACK would wake its threads, which then wait busily.
    slopes = (level * differences).sum(1, keepdims=True) / max((level * level).sum(), 1e-9)
    residual = differences - level * slopes
    return float(np.linalg.norm(residual.std(1)) / (mean + 1))


def color_deviations(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns how far colors are from those in a mask, [g, g]: Mahalanobis distances in CIELAB.

    Args:
        image: uint8 RGB [g, g, 3].
        mask: bool [g, g], a pixel at least.
    """
    colors = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    usual = colors[mask]
    for _ in range(2):  # without eyes, lips, brows and shadows
        distance = np.linalg.norm(usual - np.median(usual, 0), axis=1)
        usual = usual[distance <= np.quantile(distance, _USUAL_SHARE)]
    covariance = np.cov(usual.T, bias=True) + _NOISE_LEVELS**2 * np.eye(3)
    difference = colors - usual.mean(0)
    squared = np.einsum("...i,ij,...j", difference, np.linalg.inv(covariance), difference)
    return np.sqrt(squared)


def is_monochrome(spread: float) -> bool:
    """Returns whether a `chroma_spread` is that of an image without colors, such as a black-and-white or sepia film."""
    return spread <= _MAX_MONOCHROME_SPREAD


def _log_chroma(colors: np.ndarray) -> np.ndarray:
    """Returns logarithms of colors [..., 3] minus their mean over the channels."""
    logs = np.log(colors + 1.0)
    return logs - logs.mean(-1, keepdims=True)


def _cut_around(image: np.ndarray, outline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image inside an outline's bounding box, and the outline's mask.

    Args:
        image: uint8 RGB [H, W, 3].
        outline: [P, 2], image pixels.

    Returns:
        uint8 [h, w, 3], and uint8 [h, w], 1 inside the outline.
    """
    (left, top), (right, bottom) = np.clip([outline.min(0), outline.max(0) + 1], 0, image.shape[1::-1]).astype(int)
    box = image[top:bottom, left:right]
    mask = np.zeros(box.shape[:2], np.uint8)
    if mask.size:
        cv2.fillPoly(mask, [(outline - [left, top]).round().astype(np.int32)], 1)
    return box, mask
