"""Paints the back of a head: hair in the colors of what is seen, with strands as strong as its own, and the nape.

Light, contrast and hairline are those of people who turn their heads in one light (protocol `turned`).
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.imaging.masks import blurred_inside
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import fit_pose
from fewshot_heads.rendering.head_parts import find_head_parts

_LIGHT = 0.82  # of the painted hair, over that of the hair that is seen: the back is turned away from the light
_MIXED_PIXELS = 7  # width of the square that erodes hair: its rim has the color of skin
_SHINE_PIXELS, _SHINE_RIM_PIXELS = 15, 3  # width of highlights in hair; and as above, of their rim
_MIN_HAIR_PIXELS = 200  # from fewer no hair is painted
# Where hair ends below the lobes, at the nape and behind the ears, the height over which it fades, and the standard
# deviation of the lengths of strands.
NAPE_HEAD_UNITS, _BEHIND_EARS_HEAD_UNITS, _FADE_HEAD_UNITS, _ENDS_HEAD_UNITS = 0.28, -0.2, 0.1, 0.04
LONGEST_HEAD_UNITS = NAPE_HEAD_UNITS + 3 * _ENDS_HEAD_UNITS
_LEAST_HANGING_HEAD_UNITS = 0.01  # squared, of hair beside the face below the lobes; less is short hair

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
_COARSE = 0.25  # scale of the image whose colors are blurred
_ROWS = 4  # of noise, for a standard deviation of the blur along columns
_LARGEST = 2.5  # standard deviations of a strand's brightness


def paint_back(
    head: np.ndarray, face: Landmarks, below: np.ndarray, skin: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the colors [S, 2 S, 3], 0 to 255, and the opacity [S, 2 S, 1], 0 to 1, of a head all around.

    Long hair goes down to the nape everywhere. Short hair ends behind the ears, and skin goes on below it. None if the
    image shows no hair.

    Args:
        head: uint8 [S, S, 4], RGB and alpha of a head from ear to ear.
        face: landmarks, pixels of the head.
        below: float32 [S, 2 S], how far places are below the lobes, head units.
        skin: float32 [3], color of the nape, 0 to 255. Without it, all hair is taken for long.
    """
    parts = find_head_parts(head, face)
    hair = _pure(parts.hair)
    if hair.sum() < _MIN_HAIR_PIXELS:
        return None
    colors, longitudes = _LIGHT * paint_hair(head[..., :3], hair), below.shape[1]
    uneven = _ENDS_HEAD_UNITS * uneven_ends(longitudes)
    if skin is None or parts.hanging.sum() > _LEAST_HANGING_HEAD_UNITS * fit_pose(face).scale ** 2:
        return colors, _above(NAPE_HEAD_UNITS + uneven, below)
    of_hair = _above(_short_hairline(longitudes) + uneven, below)
    return skin + of_hair * (colors - skin), _above(NAPE_HEAD_UNITS, below)


def paint_hair(image: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Returns the hair all around a head, float32 [S, 2 S, 3], 0 to 255.

    Columns are longitudes from -180 to 180 degrees, with the back of the head in the middle. Strands run from the crown
    to the nape. They are noise in the bands of width of the hair that is seen, drawn out along the strands (Cabral and
    Leedom, "Imaging Vector Fields Using Line Integral Convolution", SIGGRAPH 1993).

    Args:
        image: uint8 RGB [S, S, 3], a head from ear to ear.
        hair: bool [S, S], where it shows hair, a pixel at least.
    """
    level, mask = np.log(image.mean(-1, dtype=np.float32) + _DARK_LEVEL), hair.astype(np.float32)
    random = np.random.default_rng(0)
    strands = np.zeros((len(hair), 2 * len(hair)), np.float32)
    for fine, coarse in zip(_STRAND_PIXELS, _STRAND_PIXELS[1:], strict=False):
        own = blurred_inside(level, mask, fine) - blurred_inside(level, mask, coarse)
        long = _noise(random, strands.shape, fine / _PIXELS_AROUND, _STRAND_LENGTHS * fine)
        band = long - cv2.GaussianBlur(long, (_WIDEST_PIXELS, 1), coarse / _PIXELS_AROUND)
        deviation = min(_DEVIATIONS_OF_MEDIAN * float(np.median(np.abs(own[hair]))), _MAX_DEVIATION)
        strands += deviation * (band / band.std()).clip(-_LARGEST, _LARGEST)
    waves = _noise(random, strands.shape, *[_BEND_SHARE * len(strands)] * 2)
    bent = _BEND_PIXELS * waves + np.arange(strands.shape[1], dtype=np.float32)
    rows = np.broadcast_to(np.arange(len(strands), dtype=np.float32)[:, None], strands.shape)
    gain = np.exp(cv2.remap(strands, bent, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    colors = around_head(_usual_colors(image, hair))
    return (colors + _DARK_LEVEL) * gain[..., None] - _DARK_LEVEL


def around_head(values: np.ndarray) -> np.ndarray:
    """Returns values of a head from ear to ear [S, S, ...] all around it, [S, 2 S, ...]: the front as the back."""
    left, right = np.split(values, 2, axis=1)
    return np.hstack([left[:, ::-1], values, right[:, ::-1]])


def uneven_ends(count: int) -> np.ndarray:
    """Returns by how much hair is longer in each of some columns, float32 [count], standard deviation 1."""
    return _noise(np.random.default_rng(0), (1, count), _END_PIXELS, _END_PIXELS)[0]


def _pure(hair: np.ndarray) -> np.ndarray:
    """Returns hair, bool [S, S], without its rim. Highlights, which have the color of skin, have a narrower rim."""
    dull = cv2.erode(hair.astype(np.uint8), np.ones((_SHINE_RIM_PIXELS, _SHINE_RIM_PIXELS)))
    whole = cv2.morphologyEx(hair.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_SHINE_PIXELS, _SHINE_PIXELS)))
    return np.asarray(np.minimum(dull, cv2.erode(whole, np.ones((_MIXED_PIXELS, _MIXED_PIXELS)))) > 0)


def _short_hairline(count: int) -> np.ndarray:
    """Returns how far below the lobes short hair ends at longitudes all around the head, [count], head units."""
    to_nape = np.cos(np.linspace(-np.pi, np.pi, count)).clip(0, None) ** 2
    return _BEHIND_EARS_HEAD_UNITS + (NAPE_HEAD_UNITS - _BEHIND_EARS_HEAD_UNITS) * to_nape


def _above(end: np.ndarray | float, below: np.ndarray) -> np.ndarray:
    """Returns 1 above the end of hair or skin, which fades there, and else 0; float32 [S, 2 S, 1].

    Args:
        end: how far it is below the lobes, for each longitude [2 S] or for all, head units.
        below: [S, 2 S], how far pixels are.
    """
    return ((end - below) / _FADE_HEAD_UNITS).clip(0, 1)[..., None].astype(np.float32)


def _usual_colors(image: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Returns the mean colors of the hair near each place, float32 [S, S, 3]."""
    mask, colors = hair.astype(np.float32)[..., None], image[hair].mean(0)
    small = cv2.resize(np.dstack([image * mask, mask]), None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_AREA)
    for share, farther in _COLOR_SHARES:
        sums = cv2.GaussianBlur(small, (0, 0), share * len(small))
        colors = (sums[..., :3] + farther * colors) / (sums[..., 3:] + farther)
    return cv2.resize(colors.astype(np.float32), hair.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _noise(random: np.random.Generator, shape: tuple[int, ...], across: float, along: float) -> np.ndarray:
    """Returns noise that is blurred along rows and columns, float32 [h, w], standard deviation 1.

    Args:
        random: source of all random numbers.
        shape: h and w.
        across: standard deviation of the blur along rows, pixels.
        along: along columns, pixels. Much blurred noise has fewer rows, between which it is interpolated.
    """
    height, width = shape
    rows = min(max(round(_ROWS * height / along), 1), height)
    noise: np.ndarray = random.standard_normal((rows, width), np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), across, sigmaY=along * rows / height)
    noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(noise / noise.std())
