"""Refines the edges of mattes with the colors of the image, and removes the background's color from them."""

from __future__ import annotations

import cv2
import numpy as np

_MAX_MODEL_SIDE = 128  # local colors are estimated at this resolution, because they vary slowly
_NEAR_WINDOW, _FAR_WINDOW = 5, 10  # sides of the windows that average colors, radii; the far one fills in
_COLOR_NOISE = 0.03  # of 1; the color difference that separates nothing
_VARIANCE_WEIGHT = 0.3  # of the colors' variance against the squared difference of their means
_EDGE_NOISE = 0.1  # of 1; the color difference at an edge that separates little
_FUSION_WINDOWS_PX = (90, 6)  # as Forte has them
_MIXTURE_NOISE = 0.05  # of 1; distance from all mixtures of two colors, from which a pixel is another color
_HAZE = 0.08  # opacity below which a pixel is clear, and above 1 minus which it is opaque
_MAX_GUIDED_RADIUS_PX = 2  # a larger window is filtered at a lower resolution
_GUIDE_EPSILON = 2.5e-4  # variance of the guide, 0 to 1, up to which the guided filter smooths


def refine_matte(image: np.ndarray, matte: np.ndarray, radius: float) -> np.ndarray:
    """Returns a matte whose edges follow those of the image, float32 [H, W], 0 to 1.

    A pixel near the edge is compared with the mean colors inside and outside. Where these differ little, or where the
    pixel is no mixture of both, such as an ear beside hair, the matte remains. A guided filter (He et al., "Guided
    Image Filtering", PAMI 2013) removes the noise.

    Args:
        image: uint8 RGB [H, W, 3].
        matte: float32 [H, W], 0 to 1.
        radius: distance from the edge up to which pixels change, pixels.
    """
    guide = image.astype(np.float32) / 255
    prior = np.ascontiguousarray(matte, np.float32)
    height, width = prior.shape
    scale = min(_MAX_MODEL_SIDE / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small, coarse = (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (guide, prior))
    reach = max(radius * scale, 1.0)
    inside, inside_variance = _local_colors(small, _eroded(coarse, reach), reach)
    outside, outside_variance = _local_colors(small, _eroded(1 - coarse, reach), reach)
    difference = inside - outside
    contrast = np.square(difference).sum(2)
    noise = _VARIANCE_WEIGHT * (inside_variance + outside_variance) + _COLOR_NOISE**2
    confidence = contrast / (contrast + noise)
    near_edge = cv2.blur(((coarse > 0.02) & (coarse < 0.98)).astype(np.float32), (2 * round(reach) + 1,) * 2)
    confidence = confidence * (near_edge * 4).clip(0, 1)
    maps = [outside, difference, np.dstack([contrast + _COLOR_NOISE**2, confidence])]
    if scale < 1:
        maps = [cv2.resize(x, (width, height), interpolation=cv2.INTER_LINEAR) for x in maps]
    outside, difference, others = maps
    by_color, likeness = unmixed(guide, outside, difference, others[..., 0])
    alpha = prior + others[..., 1] * likeness * (by_color - prior)
    smooth = _guided_filter(guide, alpha.astype(np.float32), max(round(radius / 4), 1))
    return ((smooth - _HAZE) / (1 - 2 * _HAZE)).clip(0, 1).astype(np.float32)


def unmixed(
    colors: np.ndarray, outside: np.ndarray, difference: np.ndarray, contrast: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the share of the inside in mixtures of two colors [H, W], and how like a mixture they are [H, W], 0 to 1.

    Args:
        colors: [H, W, 3], 0 to 1.
        outside: [H, W, 3], color of the outside.
        difference: [H, W, 3], from there to the color of the inside.
        contrast: [H, W], squared length of the difference.
    """
    own = colors - outside
    share = ((own * difference).sum(2) / contrast).clip(0, 1)
    distance = np.square(cv2.blur(own - share[..., None] * difference, (3, 3))).sum(2)  # without single pixels' noise
    return share, 1 / (1 + np.square(distance / _MIXTURE_NOISE**2))


def least_alpha(image: np.ndarray, behind: np.ndarray, limits: tuple[float, float], axis: int = -1) -> np.ndarray:
    """Returns the least opacity with which any color gives an image over what is behind, 0 to 1, without the axis.

    Args:
        image: of any shape.
        behind: of the same shape.
        limits: of colors, such as 0 and 255.
        axis: of the channels.
    """
    difference = image - behind.astype(np.float32)
    room = np.where(difference < 0, behind - limits[0], limits[1] - behind)
    least_room = (limits[1] - limits[0]) / 255
    return np.asarray((np.abs(difference) / np.maximum(room, least_room)).max(axis).clip(0, 1))


def _guided_filter(guide: np.ndarray, matte: np.ndarray, radius: int) -> np.ndarray:
    """Returns the matte as locally linear functions of the guide's colors (He et al., eq. 19 to 21).

    The functions of large windows are found at a lower resolution (He and Sun, "Fast Guided Filter", 2015). OpenCV's
    own filter is in opencv-contrib only, and with guides from 0 to 1 it only blurs (5.0).

    Args:
        guide: float32 [H, W, 3], 0 to 1.
        matte: float32 [H, W].
        radius: half the side of the windows, pixels.
    """
    full_guide, full_size = guide, guide.shape[1::-1]
    if radius > _MAX_GUIDED_RADIUS_PX:
        factor, radius = _MAX_GUIDED_RADIUS_PX / radius, _MAX_GUIDED_RADIUS_PX
        guide, matte = (cv2.resize(x, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) for x in (guide, matte))
    window = (2 * radius + 1,) * 2
    red, green, blue = cv2.split(guide)
    products = [red * red, red * green, red * blue, green * green, green * blue, blue * blue]
    layers = np.dstack([guide, matte, guide * matte[..., None], *products])
    r, g, b, p, rp, gp, bp, rr, rg, rb, gg, gb, bb = cv2.split(cv2.blur(layers, window))
    rp, gp, bp = rp - r * p, gp - g * p, bp - b * p
    rr, rg, rb = rr - r * r + _GUIDE_EPSILON, rg - r * g, rb - r * b
    gg, gb, bb = gg - g * g + _GUIDE_EPSILON, gb - g * b, bb - b * b + _GUIDE_EPSILON
    # The inverse of the symmetric covariance, by its cofactors.
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c_rr + rg * c_rg + rb * c_rb
    slope_r = (c_rr * rp + c_rg * gp + c_rb * bp) / determinant
    slope_g = (c_rg * rp + c_gg * gp + c_gb * bp) / determinant
    slope_b = (c_rb * rp + c_gb * gp + c_bb * bp) / determinant
    start = p - slope_r * r - slope_g * g - slope_b * b
    functions = cv2.blur(np.dstack([slope_r, slope_g, slope_b, start]), window)
    if functions.shape[1::-1] != full_size:
        functions = cv2.resize(functions, full_size, interpolation=cv2.INTER_LINEAR)
    return (functions[..., :3] * full_guide).sum(2) + functions[..., 3]


def unmix_edges(image: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Returns a matte whose edge pixels are mixtures of the nearest colors inside and outside, float32 [H, W], 0 to 1.

    Pixels that the matte calls opaque, but that show some background, would be a bright or dark line around a
    foreground that moves. Where the two colors differ little, the matte remains.

    Args:
        image: uint8 RGB [H, W, 3].
        matte: float32 [H, W], 0 to 1.
    """
    pixels, square = image.astype(np.float32) / 255, np.ones((3, 3), np.uint8)
    inside, outside = (cv2.erode((part > 1 - _HAZE).astype(np.uint8), square) for part in (matte, 1 - matte))
    if not (inside.any() and outside.any()):
        return matte
    edge = (inside == 0) & (outside == 0)
    smooth = cv2.blur(pixels, (3, 3))  # so the pixels whose color counts are eroded once more
    own, other = (nearest_values(smooth, cv2.erode(mask, square) > 0) for mask in (inside, outside))
    difference = own - other
    contrast = np.square(difference).sum(2)
    by_color, likeness = unmixed(pixels, other, difference, contrast + 1e-6)
    confidence = likeness * contrast / (contrast + _EDGE_NOISE**2)
    return np.where(edge, matte + confidence * (by_color - matte), matte).astype(np.float32)


def nearest_values(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns for each pixel the value of the nearest known one, [H, W] or [H, W, C]."""
    if not known.any():
        return np.zeros_like(values)
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    lookup = np.zeros((labels.max() + 1, *values.shape[2:]), values.dtype)
    lookup[labels[known]] = values[known]
    return lookup[labels]


def head_share(person: np.ndarray, head: np.ndarray, width: float) -> np.ndarray:
    """Returns the head's share of each pixel, float32 [H, W], 0 to 1, also outside of the person.

    Each pixel goes to the nearer of head and body. Without a body near, all is head, so the product of person and share
    has the outline of the person.

    Args:
        person: float32 [H, W], 0 to 1.
        head: float32 [H, W], 0 to 1.
        width: a body that is narrower is an error of the mattes, pixels.
    """
    side = 2 * round(width / 2) + 1
    not_head = ((person > 0.5) & (head < 0.5)).astype(np.uint8)
    body = cv2.morphologyEx(not_head, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    seeds = ((head >= 0.5) & (body == 0)).astype(np.uint8)
    to_head, to_body = (cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5) for mask in (seeds, body))
    return (0.5 + (to_body - to_head) / max(width / 2, 1)).clip(0, 1).astype(np.float32)


def estimate_foreground(image: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Returns the colors of the foreground without those of the background, float32 [H, W, 3], 0 to 255.

    Blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021), twice: with a large and with a
    small window. Composite the result with the matte: matte * foreground + (1 - matte) * other_background.

    Args:
        image: uint8 RGB [H, W, 3].
        matte: float32 [H, W], 0 to 1.
    """
    pixels, alpha = image.astype(np.float32), np.ascontiguousarray(matte, np.float32)[..., None]
    foreground = background = pixels
    for window_px in _FUSION_WINDOWS_PX:
        foreground, background = _blur_fusion(pixels, foreground, background, alpha, window_px)
    return foreground.clip(0, 255)


def _blur_fusion(
    image: np.ndarray, foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray, window_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns better colors of foreground and background (Forte, eq. 4 to 7)."""
    blurred = cv2.blur(np.dstack([foreground * alpha, background * (1 - alpha), alpha]), (window_px, window_px))
    mean_alpha = blurred[..., 6:]
    foreground = blurred[..., :3] / (mean_alpha + 1e-5)
    background = blurred[..., 3:6] / ((1 - mean_alpha) + 1e-5)
    foreground = foreground + alpha * (image - alpha * foreground - (1 - alpha) * background)
    return foreground.clip(0, 255), background.clip(0, 255)


def _eroded(matte: np.ndarray, radius: float) -> np.ndarray:
    """Returns 1 where the matte is 1 in the whole neighborhood."""
    side = 2 * round(radius) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.erode((matte > 0.9).astype(np.float32), kernel)


def _local_colors(image: np.ndarray, mask: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean color [H, W, 3] of the masked pixels nearby, and their variance [H, W]."""
    values = np.dstack([image, np.square(image).sum(2)]) * mask[..., None]
    values = np.dstack([values, mask])
    near, far = (twice_blurred(values, radius * windows) for windows in (_NEAR_WINDOW, _FAR_WINDOW))
    total = near + 0.05 * far + 1e-6 * (values[::4, ::4].mean((0, 1)) + [0, 0, 0, 0, 1e-6])
    mean = total[..., :4] / total[..., 4:]
    return mean[..., :3], (mean[..., 3] - np.square(mean[..., :3]).sum(2)).clip(0)


def twice_blurred(values: np.ndarray, side: float) -> np.ndarray:
    """Returns values [H, W, C] averaged over windows twice, in a time that does not depend on their side."""
    window = (2 * round(side / 2) + 1,) * 2
    return cv2.blur(cv2.blur(values, window), window)
