"""Looks for the mark that `media/watermark.py` puts into pixels.

The detector folds an image into one tile and finds the shift of a cropped image by one Fourier transform. The scale of
a resized image is searched. In the middle of the image, rotations and other ratios of its sides are searched too: there
a deformation that is met only roughly moves the pattern little.

The detector looks at phases alone (Kuglin and Hines, 1975). The phases of the tile are random and independent of every
image that is not marked. For each shift, scale and deformation, the normalized correlation z of such an image has
therefore mean 0 and variance 1, and P(z > t) <= exp(-t^2 / 2), because E exp(a cos(phase)) = I0(a) <= exp(a^2 / 4). The
threshold follows from that bound and the number of shifts, scales and deformations that are tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.media.watermark import DIGITS, MAX_CYCLES, STEP, STEPS, TILE, sampled, spectra, tile_of

# Log of (size of a tile) / (size that the image's own size suggests). Scaling by r changes it by log(r) / 2, and
# cropping to a share c by -log(c) / 2. So: scaled from 0.36 to 2.25 times, or cropped to 0.45 of the side, or framed.
_MIN_LOG_SCALE, _MAX_LOG_SCALE = -0.51, 0.41
_DRIFT_CYCLES = 0.7  # of the fastest wave, from one side of the image to the other, between two scales that are tried
# Deformations that are searched in the middle of an image: degrees, and log of width over height. Scales near 1 alone.
_ROTATIONS, _STRETCHES = (-6, -4.5, -3, -1.5, 0, 1.5, 3, 4.5, 6), (-0.16, -0.12, -0.08, -0.04, 0.04, 0.08, 0.12, 0.16)
_DEFORMATIONS = [(degrees, 0.0) for degrees in _ROTATIONS] + [(0.0, stretch) for stretch in _STRETCHES]
_MIDDLE_TILES, _DEFORMED_LOG_SCALES = 2, (-0.15, 0.15)
_REFINEMENTS = 4  # scales between two others that are tried around a find
FALSE_ALARMS = 1e-5  # bound for an image or video without the mark
_DEFORMED_SHARE = 0.1  # of the false alarms: deformed images are rarer, and those that are not keep a low threshold
_FALSE_MODELS = 1e-3  # bound for digits that are read where there are none
_SPECTRUM_WINDOW, _MAX_WEIGHT = (5, 5), 1.5
_WHITENING_TILE_FRACTION, _WHITENING_LEVELS = 3 / 128, 2.0  # size of the neighborhood; noise that is no texture


@dataclass(frozen=True)
class Detection:
    """What `detect` sees in an image or video.

    Attributes:
        score: highest normalized correlation z.
        threshold: score from which the mark is there. Without the mark, a score so high has a chance of 1e-5 at most.
        model: first three digits of the hash of the model; None if they cannot be read or no model was named.
    """

    score: float
    threshold: float
    model: str | None = None

    @property
    def found(self) -> bool:
        """Whether the mark is there."""
        return self.score >= self.threshold


def detect(images: Iterable[np.ndarray]) -> Detection:
    """Looks for the mark in an image or in frames of one video.

    Args:
        images: uint8 RGB [H, W, 3], of one size. More frames find a weaker mark.

    Raises:
        BadInput: if there is no image.
    """
    total: np.ndarray | None = None
    for image in images:
        whitened = _whitened(image)
        total = whitened if total is None or total.shape != whitened.shape else total + whitened
    if total is None:
        raise BadInput("no image came; give at least one")
    best, limit = (0.0, 0.0, False), math.inf
    for view, log_scale, threshold in _views(total):
        peak = max(_peaks(view, log_scale))
        if peak[0] / threshold >= best[0] / limit:
            best, limit = peak, threshold
        if best[0] >= limit:  # a neighboring scale may fit better
            for reach in (_scale_step(view), _scale_step(view) / 2):
                around = best[1] + np.linspace(-reach, reach, 2 * _REFINEMENTS + 1)
                best = max(best, *(peak for scale in around for peak in _peaks(view, float(scale))))
            return Detection(best[0], limit, _read_model(view, best[1], best[2]))
    return Detection(best[0], limit)


def _views(image: np.ndarray) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yields what is searched, the likeliest first.

    Args:
        image: float32 [h, w].

    Yields:
        The image or its deformed middle, a scale (logarithm), and the score from which the mark is there.
    """
    scales, middle = _log_scales(image, _MIN_LOG_SCALE, _MAX_LOG_SCALE), _middle(image)
    threshold = _threshold(len(scales), (1 - _DEFORMED_SHARE) * FALSE_ALARMS)
    yield from ((image, scale, threshold) for scale in scales)
    scales = _log_scales(middle, *_DEFORMED_LOG_SCALES)
    threshold = _threshold(len(scales) * len(_DEFORMATIONS), _DEFORMED_SHARE * FALSE_ALARMS)
    for degrees, stretch in _DEFORMATIONS:
        deformed = _deformed(middle, degrees, stretch)
        yield from ((deformed, scale, threshold) for scale in scales)


def _threshold(scales: int, false_alarms: float) -> float:
    """Returns the score that an image without the mark reaches with a chance of `false_alarms` at most.

    Args:
        scales: number that are tried, each of an image and of its mirror image, at every shift.
        false_alarms: the chance.
    """
    return math.sqrt(2 * math.log(2 * scales * TILE**2 / false_alarms))


def _middle(image: np.ndarray) -> np.ndarray:
    """Returns the middle of an image, `_MIDDLE_TILES` a side or less."""
    y, x = (max(side - _MIDDLE_TILES * TILE, 0) // 2 for side in image.shape)
    return image[y : y + _MIDDLE_TILES * TILE, x : x + _MIDDLE_TILES * TILE]


def _deformed(image: np.ndarray, degrees: float, stretch: float) -> np.ndarray:
    """Returns an image that is rotated and stretched about its center.

    Args:
        image: float32 [h, w].
        degrees: counter-clockwise.
        stretch: log of the change of width over height.
    """
    height, width = image.shape
    rotation = cv2.getRotationMatrix2D((0, 0), degrees, 1)[:, :2]
    matrix = np.diag([math.exp(stretch / 2), math.exp(-stretch / 2)]) @ rotation
    center = np.array([width - 1, height - 1]) / 2
    return cv2.warpAffine(image, np.column_stack([matrix, center - matrix @ center]), (width, height))


def _scale_step(image: np.ndarray) -> float:
    """Returns the difference of two scales that are tried, logarithms."""
    return _DRIFT_CYCLES * TILE / (MAX_CYCLES * max(image.shape))


def _log_scales(image: np.ndarray, low: float, high: float) -> list[float]:
    """Returns the scales of an image to try, the likeliest first."""
    step = _scale_step(image)
    return sorted((np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step).tolist(), key=abs)


def _whitened(image: np.ndarray) -> np.ndarray:
    """Returns the luminance without slow changes, and weaker where it has texture."""
    gray, sigma = sampled(image), _WHITENING_TILE_FRACTION * TILE
    fast = gray - cv2.GaussianBlur(gray, (0, 0), sigma)
    deviation = np.sqrt(cv2.GaussianBlur(fast * fast, (0, 0), sigma))
    return fast / np.square(deviation + _WHITENING_LEVELS)


def _phases(image: np.ndarray, log_scale: float) -> Iterator[np.ndarray]:
    """Yields the phases of an image that is folded into one tile of a scale, and of its mirror image."""
    height, width = (max(round(side * math.exp(-log_scale)), 8) for side in image.shape)
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    padded = np.pad(scaled, ((0, -height % TILE), (0, -width % TILE)))
    tile = padded.reshape(padded.shape[0] // TILE, TILE, -1, TILE).sum((0, 2))
    for side in (tile, tile[:, ::-1]):
        spectrum = np.fft.rfft2(side)
        magnitude = np.abs(spectrum)
        usual = np.sqrt(cv2.blur(np.square(magnitude), _SPECTRUM_WINDOW, borderType=cv2.BORDER_REFLECT)) + 1e-9
        yield spectrum / np.maximum(usual, magnitude / _MAX_WEIGHT)


def _correlation(phases: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Returns the normalized correlation z with a part of the tile, for each shift: [TILE, TILE]."""
    weights = math.sqrt(np.square(np.abs(phases[part != 0])).sum() / 2)
    return tile_of(phases * np.conj(part)) / max(weights, 1e-9)


def _peaks(image: np.ndarray, log_scale: float) -> Iterator[tuple[float, float, bool]]:
    """Yields score, scale and whether it is mirrored, for an image and its mirror image."""
    for is_mirrored, phases in enumerate(_phases(image, log_scale)):
        yield float(_correlation(phases, spectra()[0]).max()), log_scale, bool(is_mirrored)


def _read_model(image: np.ndarray, log_scale: float, is_mirrored: bool) -> str | None:
    """Returns the digits of the model in a marked image, None if they are in doubt."""
    phases = list(_phases(image, log_scale))[is_mirrored]
    fixed, moved = spectra()
    down, right = divmod(int(_correlation(phases, fixed).argmax()), TILE)
    scores = np.roll(_correlation(phases, moved), (-down, -right), (0, 1))[::STEP, ::STEP]
    payload = int(scores.argmax())
    is_sure = scores.max() >= math.sqrt(2 * math.log(STEPS**2 / _FALSE_MODELS))
    return f"{payload:0{DIGITS}x}" if is_sure and payload else None
