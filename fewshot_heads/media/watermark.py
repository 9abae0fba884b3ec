"""An invisible mark in the pixels: it stays when a file loses its metadata.

The mark is spread-spectrum noise (Cox et al., IEEE Trans. Image Processing 1997): a weak pseudo-random pattern in the
luminance, of middle frequencies, stronger where the image has texture. The pattern is one small tile, repeated
(Kutter, SPIE 1998), so the detector folds an image into one tile and finds the shift of a cropped image by one Fourier
transform. The scale of a resized image is searched.

The detector looks at phases alone (Kuglin and Hines, 1975). The phases of the tile are random and independent of every
image that is not marked. For each shift and scale, the normalized correlation z of such an image has therefore mean 0
and variance 1, and P(z > t) <= exp(-t^2 / 2), because E exp(a cos(phase)) = I0(a) <= exp(a^2 / 4). The threshold
follows from that bound and the number of shifts and scales that are tried.

Two sets of frequencies form the tile. The first is fixed and found first. The second is shifted against it by one of
64 x 64 steps: these are 12 bits, the first three digits of the hash of the model.

The pattern is public, as the code is. So the mark helps honest people, like the metadata: it can be removed or forged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from fewshot_heads.errors import BadInput

TILE = 128  # samples a side
MIN_CYCLES, MAX_CYCLES = 4, 22  # a tile; below, faces are strong, and above, video codecs drop the pattern
TILE_PX_256 = 128.0  # side of a tile in an image whose shorter side has 256 pixels; it grows with the root of the side

FLAT_AMPLITUDE, TEXTURE_GAIN, MAX_AMPLITUDE = 0.9, 0.3, 3.5  # standard deviation of the pattern, levels of 255
MAX_RMS = 1.85  # levels of 255, of a whole image: 42.4 dB with the rounding to whole levels
_ACTIVITY_SIGMA_PX = 2.0
_ACTIVITY_PX = 9  # of the image at one sample a pixel: window of the local standard deviation

_SEED = 1997  # of the pattern: another seed is another mark
_FIXED_SHARE = 0.8  # of the frequencies; the others hold the model
DIGITS = 3  # hexadecimal, of the hash of the model
_STEPS, _STEP = 64, TILE // 64  # shifts a side that hold 3 digits, and samples between them
_LEVELS = 32  # of the stored pattern for one standard deviation

# Log of (size of a tile) / (size that the image's own size suggests). Scaling by r changes it by log(r) / 2, and
# cropping to a share c by -log(c) / 2. So: scaled from 0.36 to 2.25 times, or cropped to 0.45 of the side, or framed.
_MIN_LOG_SCALE, _MAX_LOG_SCALE = -0.51, 0.41
_DRIFT_CYCLES = 0.7  # of the fastest wave, from one side of the image to the other, between two scales that are tried
_REFINEMENTS = 4  # scales between two others that are tried around a find
FALSE_ALARMS = 1e-5  # bound for an image or video without the mark
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


def embed(image: np.ndarray, sha256: str) -> np.ndarray:
    """Returns a copy of an image that carries the mark.

    Args:
        image: uint8 RGB [H, W, 3].
        sha256: hash of the model, hexadecimal. Anything else is marked without a model.
    """
    height, width = image.shape[:2]
    amplitude = cv2.resize(_amplitude(image), (width, height), interpolation=cv2.INTER_LINEAR)
    change = cv2.multiply(_pattern(height, width, _payload(sha256)), amplitude, scale=1 / _LEVELS, dtype=cv2.CV_16S)
    return cv2.add(image, cv2.merge([change] * 3), dtype=cv2.CV_8U)


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
    step = _DRIFT_CYCLES * TILE / (MAX_CYCLES * max(total.shape))
    scales = _log_scales(step)
    trials = 2 * (len(scales) + 4 * _REFINEMENTS + 2) * TILE**2  # an image and its mirror image
    threshold = math.sqrt(2 * math.log(trials / FALSE_ALARMS))
    best = (0.0, 0.0, False)
    for log_scale in scales:
        best = max(best, *_peaks(total, log_scale))
        if best[0] >= threshold:  # a neighboring scale may fit better
            for reach in (step, step / 2):
                near = best[1] + np.linspace(-reach, reach, 2 * _REFINEMENTS + 1)
                best = max(best, *(peak for scale in near for peak in _peaks(total, float(scale))))
            return Detection(best[0], threshold, _read_model(total, best[1], best[2]))
    return Detection(best[0], threshold)


def _tile_px(height: int, width: int) -> float:
    """Returns the side of a tile in an image of a size, pixels. Large images are scaled down more often."""
    return TILE_PX_256 * math.sqrt(min(height, width) / 256)


def _payload(sha256: str) -> int:
    try:
        return int(sha256[:DIGITS], 16)
    except ValueError:
        return 0


@lru_cache(1)
def _frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Returns cycles a tile along y [TILE, 1] and x [1, TILE / 2 + 1], as `rfft2` orders them."""
    return np.fft.fftfreq(TILE, 1 / TILE)[:, None], np.fft.rfftfreq(TILE, 1 / TILE)[None]


@lru_cache(1)
def _spectra() -> tuple[np.ndarray, np.ndarray]:
    """Returns the spectra of the two parts of the tile, complex [TILE, TILE / 2 + 1]: 1 with a random phase, or 0."""
    y, x = _frequencies()
    radius = np.hypot(y, x)
    is_used = (radius >= MIN_CYCLES) & (radius <= MAX_CYCLES) & ((x > 0) | (y > 0))  # of (y, 0) and (-y, 0), one
    draws, turns = np.random.Generator(np.random.PCG64(_SEED)).random((2, TILE, TILE // 2 + 1))
    waves, is_fixed = np.exp(2j * np.pi * turns), draws < _FIXED_SHARE
    return np.where(is_used & is_fixed, waves, 0), np.where(is_used & ~is_fixed, waves, 0)


def _tile_of(spectrum: np.ndarray) -> np.ndarray:
    """Returns the real tile [TILE, TILE] of a spectrum that has one of each two opposite frequencies."""
    whole = spectrum.copy()
    whole[1:, 0] += np.conj(whole[1:, 0][::-1])
    return np.fft.irfft2(whole, (TILE, TILE)) * TILE**2 / 2


@lru_cache(2)
def _pattern(height: int, width: int, payload: int) -> np.ndarray:
    """Returns the tile of a payload, repeated over an image: int8 [height, width], deviation `_LEVELS`."""
    y, x = _frequencies()
    fixed, moved = _spectra()
    down, right = divmod(payload, _STEPS)
    tile = _tile_of(fixed + moved * np.exp(-2j * np.pi * _STEP * (y * down + x * right) / TILE))
    levels = np.clip(tile * (_LEVELS / tile.std()), -127, 127).astype(np.float32)
    samples_per_px = TILE / _tile_px(height, width)
    columns, rows = ((np.arange(side, dtype=np.float32) * samples_per_px) % TILE + 2 for side in (width, height))
    wrapped = cv2.copyMakeBorder(levels, 2, 3, 2, 3, cv2.BORDER_WRAP)
    strips = np.array_split(rows, -(-height * width // 2**20))  # keeps the maps of coordinates small
    repeated = []
    for strip in strips:
        x_map, y_map = np.meshgrid(columns, strip)
        sampled = cv2.remap(wrapped, x_map, y_map, interpolation=cv2.INTER_CUBIC)
        repeated.append(np.rint(sampled).clip(-127, 127).astype(np.int8))
    return np.concatenate(repeated)


def _sampled(image: np.ndarray) -> np.ndarray:
    """Returns the luminance with about TILE pixels for the tile that its size suggests, float32 [h, w], 0 to 255."""
    height, width = image.shape[:2]
    ratio = TILE / _tile_px(height, width)
    size = (max(round(width * ratio), 8), max(round(height * ratio), 8))
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR).astype(np.float32)


def _amplitude(image: np.ndarray) -> np.ndarray:
    """Returns how strong the pattern may be in each place, levels of 255, at the resolution of `_sampled`."""
    gray, window = _sampled(image), (_ACTIVITY_PX, _ACTIVITY_PX)
    fast = gray - cv2.GaussianBlur(gray, (0, 0), _ACTIVITY_SIGMA_PX)
    activity = np.sqrt(np.maximum(cv2.blur(fast * fast, window), 0))  # rounding of running sums
    # The least activity around: the flat side of an edge counts as flat.
    activity = cv2.blur(cv2.erode(activity, np.ones(window, np.uint8)), window)
    amplitude = np.minimum(FLAT_AMPLITUDE + TEXTURE_GAIN * activity, MAX_AMPLITUDE)
    amplitude *= min(1.0, TILE_PX_256 / _tile_px(*image.shape[:2]))  # large images hold more tiles, which are larger
    return amplitude * min(1.0, MAX_RMS / math.sqrt(np.square(amplitude).mean()))


def _whitened(image: np.ndarray) -> np.ndarray:
    """Returns the luminance without slow changes, and weaker where it has texture."""
    gray, sigma = _sampled(image), _WHITENING_TILE_FRACTION * TILE
    fast = gray - cv2.GaussianBlur(gray, (0, 0), sigma)
    deviation = np.sqrt(cv2.GaussianBlur(fast * fast, (0, 0), sigma))
    return fast / np.square(deviation + _WHITENING_LEVELS)


def _log_scales(step: float) -> list[float]:
    """Returns the scales to try, the likeliest first."""
    scales = np.arange(math.ceil(_MIN_LOG_SCALE / step), math.floor(_MAX_LOG_SCALE / step) + 1) * step
    return sorted(scales.tolist(), key=abs)


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
    return _tile_of(phases * np.conj(part)) / max(weights, 1e-9)


def _peaks(image: np.ndarray, log_scale: float) -> Iterator[tuple[float, float, bool]]:
    """Yields score, scale and whether it is mirrored, for an image and its mirror image."""
    for is_mirrored, phases in enumerate(_phases(image, log_scale)):
        yield float(_correlation(phases, _spectra()[0]).max()), log_scale, bool(is_mirrored)


def _read_model(image: np.ndarray, log_scale: float, is_mirrored: bool) -> str | None:
    """Returns the digits of the model in a marked image, None if they are in doubt."""
    phases = list(_phases(image, log_scale))[is_mirrored]
    fixed, moved = _spectra()
    down, right = divmod(int(_correlation(phases, fixed).argmax()), TILE)
    scores = np.roll(_correlation(phases, moved), (-down, -right), (0, 1))[::_STEP, ::_STEP]
    payload = int(scores.argmax())
    is_sure = scores.max() >= math.sqrt(2 * math.log(_STEPS**2 / _FALSE_MODELS))
    return f"{payload:0{DIGITS}x}" if is_sure and payload else None
