"""Paints the hair of a whole head: in the colors of the hair that is seen, with strands as strong as its own."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.imaging.masks import blurred_inside

# Standard deviations of the weights by which a place takes colors from the hair around, sides, and the weight of the
# colors from farther away.
_COLOR_SHARES = (0.12, 0.01), (0.04, 0.3)
_STRAND_PIXELS = (0.7, 1.4, 2.8, 5.6, 11.2)  # limits of the bands of strand widths, standard deviations
_WIDEST_PIXELS = 45  # width of the kernel of the widest
_STRAND_LENGTHS = 12.0  # of a strand, over its width
_PIXELS_AROUND = np.pi / 2  # pixels of the image for one around the head
_BEND_PIXELS, _BEND_SHARE = 6.0, 0.12  # by how much strands bend aside, and over which share of the height
_END_PIXELS = 2.0  # width of strands that end together, standard deviation
_DARK_LEVEL = 8.0  # added to levels, whose noise in the dark would be strands in the logarithm
# Standard deviation over the median of noise. Edges, as between hair and a cap, change a median less.
_DEVIATIONS_OF_MEDIAN = 1.48
_MAX_DEVIATION = 0.11  # of a logarithm, the largest in the hair of twelve people; a hat's band may have more
_LARGEST = 2.5  # standard deviations of a strand's brightness


def paint_hair(image: np.ndarray, hair: np.ndarray, contrast: float) -> np.ndarray:
    """Returns the hair all around a head, float32 [S, 2 S, 3], 0 to 255.

    Columns are longitudes from -180 to 180 degrees, with the back of the head in the middle. Strands run from the crown
    to the nape. They are noise in the bands of width of the hair that is seen, drawn out along the strands (Cabral and
    Leedom, "Imaging Vector Fields Using Line Integral Convolution", SIGGRAPH 1993).

    Args:
        image: uint8 RGB [S, S, 3], a head from ear to ear.
        hair: bool [S, S], where it shows hair, a pixel at least.
        contrast: of the strands, over that of the hair.
    """
    level, mask = np.log(image.mean(-1, dtype=np.float32) + _DARK_LEVEL), hair.astype(np.float32)
    random = np.random.default_rng(0)
    strands = np.zeros((len(hair), 2 * len(hair)), np.float32)
    for fine, coarse in zip(_STRAND_PIXELS, _STRAND_PIXELS[1:], strict=False):
        own = blurred_inside(level, mask, fine) - blurred_inside(level, mask, coarse)
        noise = random.standard_normal(strands.shape, np.float32)
        long = cv2.GaussianBlur(noise, (0, 0), fine / _PIXELS_AROUND, sigmaY=_STRAND_LENGTHS * fine)
        band = long - cv2.GaussianBlur(long, (_WIDEST_PIXELS, 1), coarse / _PIXELS_AROUND)
        deviation = min(_DEVIATIONS_OF_MEDIAN * float(np.median(np.abs(own[hair]))), _MAX_DEVIATION)
        strands += deviation * (band / band.std()).clip(-_LARGEST, _LARGEST)
    waves = _smooth_noise(random, strands.shape, _BEND_SHARE * len(strands))
    bent = _BEND_PIXELS * waves + np.arange(strands.shape[1], dtype=np.float32)
    rows = np.broadcast_to(np.arange(len(strands), dtype=np.float32)[:, None], strands.shape)
    gain = np.exp(contrast * cv2.remap(strands, bent, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    colors = around_head(_usual_colors(image, hair))
    return (colors + _DARK_LEVEL) * gain[..., None] - _DARK_LEVEL


def around_head(values: np.ndarray) -> np.ndarray:
    """Returns values of a head from ear to ear [S, S, ...] all around it, [S, 2 S, ...]: the front as the back."""
    left, right = np.split(values, 2, axis=1)
    return np.hstack([left[:, ::-1], values, right[:, ::-1]])


def uneven_ends(count: int) -> np.ndarray:
    """Returns by how much hair is longer in each of some columns, float32 [count], standard deviation 1."""
    return _smooth_noise(np.random.default_rng(0), (1, count), _END_PIXELS)[0]


def _usual_colors(image: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Returns the mean colors of the hair near each place, float32 [S, S, 3]."""
    mask, colors = hair.astype(np.float32), image[hair].mean(0)
    for share, farther in _COLOR_SHARES:
        weights, sums = (cv2.GaussianBlur(x, (0, 0), share * len(hair)) for x in (mask, image * mask[..., None]))
        colors = (sums + farther * colors) / (weights[..., None] + farther)
    return np.asarray(colors, np.float32)


def _smooth_noise(random: np.random.Generator, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Returns noise without waves shorter than a standard deviation, pixels, float32 [h, w]; its own deviation is 1."""
    noise = cv2.GaussianBlur(random.standard_normal(shape, np.float32), (0, 0), sigma)
    return np.asarray(noise / noise.std())
