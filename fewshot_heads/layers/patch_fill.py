"""Inpaints holes of an image with a smooth layer and copied texture.

The image is split as in Bertalmio et al., "Simultaneous Structure and Texture Image Inpainting", CVPR 2003. The smooth
layer (light, gradients) is continued by diffusion. The rest (edges, texture, grain) is copied from known pixels, see
`patch_match`. Grain is copied too, because a copy is exact where neighbors come from the same place.

Measured on 15 known backgrounds behind the matte of a person: the means and deviations of VGG-19 features near the rim
differ by 0.48 standard deviations from the truth (cv2.inpaint: 1.12 to 1.17, rows mirrored from both sides: 1.00). The
price of sharp texture is a mean error of 19.6 levels instead of 16.2, because copies are not in register.
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.layers.patch_match import PatchSearch

_SEARCH_SIZES = (48, 96)  # longer side of the images in which patches are compared, pixels
_SMOOTH_PIXELS = 128  # longer side of the image in which the smooth layer is computed
_SMOOTH_FRACTIONS = (0.02, 0.05)  # standard deviation of the smooth layer, fraction of the longer side: walls, texture
_CONTRASTS = (4.0, 10.0)  # mean difference from the finer smooth layer: defocused or plain, and textured, levels
_RIM_PIXELS = 256  # longer side of the image in which steps at the hole's rim are measured
_RIM_FRACTION = 0.012  # width of the two sides that are compared
_FADE_FRACTION = 0.02  # width over which texture ends beside pixels that need none
_OBJECT_MEDIANS = 3.0  # times the median strength of the texture around the hole: what exceeds it are objects
_OBJECT_REACH_FRACTION = 0.1
_MIN_SOURCES = 24  # number of known patches below which no texture is copied
_SWEEPS = 3  # passes of search at each size
_MEMBRANE_STEPS = 24  # relaxation steps at each size


def fill(
    image: np.ndarray,
    known: np.ndarray,
    wanted: np.ndarray | None = None,
    smoothing: float | None = None,
    texture: float = 1.0,
) -> np.ndarray:
    """Returns the image with its unknown pixels inpainted, float32 [H, W, C].

    Args:
        image: float32 or uint8 [H, W, C], 0 to 255.
        known: bool [H, W].
        wanted: bool [H, W], the unknown pixels that need texture. None wants all of them. The others get the smooth
            layer only.
        smoothing: standard deviation of the smooth layer, fraction of the longer side. None chooses it by the contrast
            of the texture: small for plain or defocused walls, where only grain is copied, and large for sharp shapes.
        texture: contrast of the copied texture, 0 to 1.
    """
    image = image.astype(np.float32)
    if known.all() or not known.any():
        return image
    smooth = smooth_layer(image, known, _SMOOTH_FRACTIONS[0] if smoothing is None else smoothing)
    if smoothing is None:
        contrast = float(np.abs(image - smooth)[known].mean())
        share = np.clip((contrast - _CONTRASTS[0]) / (_CONTRASTS[1] - _CONTRASTS[0]), 0, 1)
        if share > 0:
            smooth = smooth_layer(image, known, float(np.interp(share, (0, 1), _SMOOTH_FRACTIONS)))
    residual = (image - smooth) * known[..., None]
    hole = ~known if wanted is None else wanted & ~known
    offsets = _offsets(residual, smooth, known, hole)
    if offsets is not None:
        fade = cv2.GaussianBlur((known | hole).astype(np.float32), (0, 0), max(_FADE_FRACTION * max(known.shape), 0.5))
        copied = _copied(residual, offsets, hole) * (texture * np.clip(2 * fade - 1, 0, 1))[..., None]
        residual = np.where(known[..., None], residual, _without_objects(copied, residual, known))
    filled = np.where(known[..., None], image, smooth + residual)
    return filled + _rim_correction(filled, known)


def _rim_correction(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns what removes a step between the known pixels and the filled ones, float32 [H, W, C].

    The step is the difference of both sides' local means. The correction fades inside the hole.

    Args:
        image: float32 [H, W, C], filled.
        known: bool [H, W].
    """
    height, width = known.shape
    sigma = _RIM_FRACTION * _RIM_PIXELS
    means = []
    for side in (known, ~known):
        mean, share = _reduced(image, side, _RIM_PIXELS)
        weight = cv2.GaussianBlur(share, (0, 0), sigma)
        blurred = cv2.GaussianBlur(mean * share[..., None], (0, 0), sigma).reshape(mean.shape)
        means.append(blurred / np.maximum(weight, 1e-6)[..., None])
    step = cv2.resize(means[0] - means[1], (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)
    depth = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    fade = np.exp(-depth / (_RIM_FRACTION * max(height, width))) * (depth > 0)
    return step * np.where(fade > 0.05, fade - 0.05, 0)[..., None]


def smooth_layer(image: np.ndarray, known: np.ndarray, smoothing: float = _SMOOTH_FRACTIONS[1]) -> np.ndarray:
    """Returns the low frequencies of the known pixels, continued into the hole by diffusion, float32 [H, W, C].

    Args:
        image: float32 [H, W, C].
        known: bool [H, W], at least one pixel True.
    """
    height, width = known.shape
    small, share = _reduced(image, known, _SMOOTH_PIXELS)
    sigma = smoothing * _SMOOTH_PIXELS
    weight = cv2.GaussianBlur(share, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    blurred = cv2.GaussianBlur(small * share[..., None], (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    inside = share > 0.5 if (share > 0.5).any() else share > 0
    low = membrane(blurred / np.maximum(weight, 1e-6)[..., None], inside)
    return cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)


def membrane(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns the image with a harmonic function in the unknown region, float32 [H, W, C].

    Laplace's equation with the known pixels as boundary values, and no flow across the image border. Solved coarse to
    fine, with relaxation steps at each level.

    Args:
        image: float32 [H, W, C].
        known: bool [H, W], at least one pixel True.
    """
    height, width = known.shape
    if known.all():
        return image
    if min(height, width) <= 2:
        return np.where(known[..., None], image, image[known].mean(0))
    half, share = _reduced(image, known, (max(height, width) + 1) // 2)
    coarse = membrane(half, share > 0)
    guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)
    result = np.where(known[..., None], image, guess)
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
    for _ in range(_MEMBRANE_STEPS):
        mean = cv2.filter2D(result, -1, cross, borderType=cv2.BORDER_REPLICATE).reshape(image.shape)
        result = np.where(known[..., None], image, mean)
    return result


def _reduced(image: np.ndarray, known: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image [h, w, C] averaged over its known pixels, longer side `size`, and their share [h, w]."""
    height, width = known.shape
    scale = min(size / max(height, width), 1.0)
    shape = max(round(width * scale), 1), max(round(height * scale), 1)
    share = cv2.resize(known.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(image * known[..., None], shape, interpolation=cv2.INTER_AREA).reshape(*share.shape, -1)
    return mean / np.maximum(share, 1e-6)[..., None], share


def _offsets(residual: np.ndarray, smooth: np.ndarray, known: np.ndarray, hole: np.ndarray) -> np.ndarray | None:
    """Returns from where each pixel of the hole is copied, relative to the pixel, int [h, w, 2], rows and columns.

    The search runs coarse to fine. None if no resolution has enough known patches.

    Args:
        residual: float32 [H, W, C], texture.
        smooth: float32 [H, W, C], smooth layer.
        known: bool [H, W].
        hole: bool [H, W], pixels to fill.
    """
    search = None
    for size in _SEARCH_SIZES:
        texture, share = _reduced(residual, known, size)
        light = cv2.resize(smooth, share.shape[::-1], interpolation=cv2.INTER_AREA).reshape(texture.shape)
        part = cv2.resize(hole.astype(np.float32), share.shape[::-1], interpolation=cv2.INTER_AREA)
        finer = PatchSearch(texture, light, share > 0.999, part > 0)
        if finer.sources.size < _MIN_SOURCES or not finer.targets.size:
            continue
        if search is None:
            finer.peel()
        else:
            finer.begin_with(search)
        finer.improve(_SWEEPS)
        search = finer
    return None if search is None else search.offsets()


def _copied(image: np.ndarray, offsets: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns copies of the image's pixels, zero outside of the hole, float32 [H, W, C].

    A pixel blends the copies by the four nearest cells of `offsets`. Where these agree, the copy is exact.

    Args:
        image: float32 [H, W, C].
        offsets: int [h, w, 2], cells.
        hole: bool [H, W].
    """
    (height, width), (rows, columns) = hole.shape, offsets.shape[:2]
    y, x = np.nonzero(hole)
    shift = np.rint(offsets * [height / rows, width / columns]).astype(int)
    cy, cx = (y + 0.5) * rows / height - 0.5, (x + 0.5) * columns / width - 0.5
    iy, ix = np.floor(cy).astype(int), np.floor(cx).astype(int)
    fy, fx = (_step(c - i).astype(np.float32) for c, i in ((cy, iy), (cx, ix)))
    flat, result = image.reshape(-1, image.shape[-1]), np.zeros((len(y), image.shape[-1]), np.float32)
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            step = shift[(iy + dy).clip(0, rows - 1), (ix + dx).clip(0, columns - 1)]
            place = _inside(y + step[:, 0], height) * width + _inside(x + step[:, 1], width)
            result += (wy * wx)[:, None] * flat[place]
    canvas = np.zeros_like(image)
    canvas[y, x] = result
    return canvas


def _without_objects(copied: np.ndarray, residual: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns copied texture that is no stronger than the texture around the hole.

    A cable or a lamp on a plain wall stands where it is. Its copies would be ghosts.

    Args:
        copied: float32 [H, W, C], texture of the hole.
        residual: float32 [H, W, C], texture of the known pixels.
        known: bool [H, W].
    """
    distance = cv2.distanceTransform(known.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    around = known & (distance < max(_OBJECT_REACH_FRACTION * max(known.shape), 2))
    limit = _OBJECT_MEDIANS * np.median(np.abs(residual[around]).max(1))
    strength = np.abs(copied).max(2, keepdims=True)
    return copied * np.minimum(1, limit / np.maximum(strength, 1e-6))


def _step(x: np.ndarray) -> np.ndarray:
    """Returns a steeper ramp from 0 to 1."""
    return np.clip(2 * x - 0.5, 0, 1)


def _inside(index: np.ndarray, size: int) -> np.ndarray:
    """Returns indices reflected at the borders."""
    index = np.abs(index)
    return np.minimum(index, 2 * size - 2 - index).clip(0, size - 1)
