"""An invisible mark in the pixels: it stays when a file loses its metadata.

The mark is spread-spectrum noise (Cox et al., IEEE Trans. Image Processing 1997): a weak pseudo-random pattern in the
luminance, of middle frequencies, stronger where the image has texture. The pattern is one small tile, repeated
(Kutter, SPIE 1998), so that a part of an image holds it all. `media/watermark_search.py` finds it.

Two sets of frequencies form the tile. The first is fixed and found first. The second is shifted against it by one of
64 x 64 steps: these are 12 bits, the first three digits of the hash of the model.

The pattern is public, as the code is. So the mark helps honest people, like the metadata: it can be removed or forged.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

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
STEPS, STEP = 64, TILE // 64  # shifts a side that hold 3 digits, and samples between them
_LEVELS = 32  # of the stored pattern for one standard deviation


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
def spectra() -> tuple[np.ndarray, np.ndarray]:
    """Returns the spectra of the two parts of the tile, complex [TILE, TILE / 2 + 1]: 1 with a random phase, or 0."""
    y, x = _frequencies()
    radius = np.hypot(y, x)
    is_used = (radius >= MIN_CYCLES) & (radius <= MAX_CYCLES) & ((x > 0) | (y > 0))  # of (y, 0) and (-y, 0), one
    draws, turns = np.random.Generator(np.random.PCG64(_SEED)).random((2, TILE, TILE // 2 + 1))
    waves, is_fixed = np.exp(2j * np.pi * turns), draws < _FIXED_SHARE
    return np.where(is_used & is_fixed, waves, 0), np.where(is_used & ~is_fixed, waves, 0)


def tile_of(spectrum: np.ndarray) -> np.ndarray:
    """Returns the real tile [TILE, TILE] of a spectrum that has one of each two opposite frequencies."""
    whole = spectrum.copy()
    whole[1:, 0] += np.conj(whole[1:, 0][::-1])
    return np.fft.irfft2(whole, (TILE, TILE)) * TILE**2 / 2


@lru_cache(2)
def _pattern(height: int, width: int, payload: int) -> np.ndarray:
    """Returns the tile of a payload, repeated over an image: int8 [height, width], deviation `_LEVELS`."""
    y, x = _frequencies()
    fixed, moved = spectra()
    down, right = divmod(payload, STEPS)
    tile = tile_of(fixed + moved * np.exp(-2j * np.pi * STEP * (y * down + x * right) / TILE))
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


def sampled(image: np.ndarray) -> np.ndarray:
    """Returns the luminance with about TILE pixels for the tile that its size suggests, float32 [h, w], 0 to 255."""
    height, width = image.shape[:2]
    ratio = TILE / _tile_px(height, width)
    size = (max(round(width * ratio), 8), max(round(height * ratio), 8))
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR).astype(np.float32)


def _amplitude(image: np.ndarray) -> np.ndarray:
    """Returns how strong the pattern may be in each place, levels of 255, at the resolution of `sampled`."""
    gray, window = sampled(image), (_ACTIVITY_PX, _ACTIVITY_PX)
    fast = gray - cv2.GaussianBlur(gray, (0, 0), _ACTIVITY_SIGMA_PX)
    activity = np.sqrt(np.maximum(cv2.blur(fast * fast, window), 0))  # rounding of running sums
    # The least activity around: the flat side of an edge counts as flat.
    activity = cv2.blur(cv2.erode(activity, np.ones(window, np.uint8)), window)
    amplitude = np.minimum(FLAT_AMPLITUDE + TEXTURE_GAIN * activity, MAX_AMPLITUDE)
    amplitude *= min(1.0, TILE_PX_256 / _tile_px(*image.shape[:2]))  # large images hold more tiles, which are larger
    return amplitude * min(1.0, MAX_RMS / math.sqrt(np.square(amplitude).mean()))
