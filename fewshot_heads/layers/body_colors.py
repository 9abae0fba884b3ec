"""Colors of a body under its head: neck and clothes are continued separately."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.imaging.masks import bounding_box
from fewshot_heads.imaging.matting import nearest_values
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.layers.body_outline import NeckAxis
from fewshot_heads.layers.patch_fill import fill

_OPAQUE = 0.9  # opacity from which a pixel shows nothing but the body
# Head units, see `landmarks.pose`.
_EDGE = 0.02  # so near to the body's edge, colors mix with the background
_MARGIN = 0.6  # of known pixels around the ones that are wanted
_NECK_REACH = 0.5  # of the pixels that tell the neck's color, from the head
_NECK_HALF_WIDTH, _FILLED_HALF_WIDTH = 0.6, 0.7  # of known and of continued neck
_RIM = 0.1  # width of the rim that is continued where no skin is visible
_NECK_RAMP = 0.2  # above these heights under the chin all is neck, and a ramp lower none is unless it adjoins one
_NECK_END, _COLLAR = 0.14, 0.0
_BLEND = 0.03  # standard deviation of the border between neck and clothes
_LIT = 0.9  # of the median light on the neck that is seen; less is the shadow of the chin
_LEAST_SKIN = 0.02  # squared: less visible skin tells no color
_NECK_SMOOTH_FRACTION = 0.02  # see `patch_fill.fill`
_NECK_TEXTURE = 0.8  # contrast: without texture a neck looks like plastic, with all of it copies are seen
_LEAST_CLOTHES_SHARE = 0.1  # of the known pixels. With fewer, the neck is continued everywhere
# The neck under the head, which a frontal light does not reach, and its sides.
_HEAD_SHADE, _SHADOW_REACH = 0.12, 0.7  # of the light, and head units from the visible body
_OUTLINE_SHADE, _TURNED_AWAY = 0.25, 0.25  # of the light, and head units from the outline
_SHADED_SKIN = np.array([1, 1.12, 1.15], np.float32)  # exponents of red, green and blue: skin in shadow is redder
# The shadow that the chin throws on the neck: standard deviations of its blurs with their weights, of which the second
# continues it under the head; the weight of seen neck that tells it; and the width in which it begins.
_SHADOW_BLURS, _SHADOW_WEIGHT, _SHADOW_EDGE = ((0.12, 1.0), (0.5, 0.1)), 0.02, 0.25
# So near to the head, and deeper, the shadow is that of a chin that touches the neck, and goes with the head.
_CONTACT, _DEEPEST_SHADOW = 0.12, 0.7
# Of the neck, where only its rim at a collar is beyond the chin's shadow: the rest is not as dark. And its reach.
_NECK_GAIN, _GAIN_REACH = (1.0, 1.5), 0.15  # head units from the visible body
# Skin: distance of the hue from that of the cheeks, of that to gray, but at least of this share of the face; and
# brightness over that of the cheeks.
_SKIN_HUE, _TOWARD_GRAY, _OF_FACE, _SKIN_LIGHT = 0.14, 0.6, 0.6, (0.2, 1.5)
_RIM_SPREADS, _RIM_LEVELS = 3.0, 24.0  # colors of a rim: median distances from its median, plus levels


def body_colors(
    image: np.ndarray, alpha: np.ndarray, hole: np.ndarray, seen: np.ndarray, face: Landmarks, axis: NeckAxis
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image with the colors of the body in the hole that the head leaves, and where they are a neck's.

    Args:
        image: uint8 RGB [H, W, 3].
        alpha: float32 [H, W], opacity of the body, also in the hole.
        hole: bool [H, W], where the head hides the body, with a margin.
        seen: bool [H, W], where the image shows the body, also in that margin.
        face: landmarks, pixels.
        axis: axis of the neck.

    Returns:
        Colors, uint8 [H, W, 3], and the share of the neck in the hole, float32 [H, W], 0 to 1.
    """
    result, in_hole = image.copy(), np.zeros(hole.shape, np.float32)
    wanted = hole & (alpha > 0)
    if not wanted.any():
        return result, in_hole
    edge = 2 * max(round(_EDGE * axis.unit), 1) + 1
    known = (cv2.erode((alpha > _OPAQUE).astype(np.uint8), np.ones((edge, edge), np.uint8)) > 0) & ~hole
    if not known.any():  # a head alone: its face tells the color
        known = wanted & like_skin(image, face)
    seen = cv2.erode(seen.astype(np.uint8), np.ones((edge, edge), np.uint8)) > 0
    neck, seen_neck = _visible_neck(image, known, hole, seen, face, axis)
    gain = (_median_color(image, seen_neck) / _median_color(image, neck)).clip(*_NECK_GAIN)
    # A neck that is seen in the margin only ends there, at a collar.
    beside, above = _neck_region(hole.shape, axis, _COLLAR if (neck & hole).any() else _NECK_END)
    known |= neck
    box = bounding_box(wanted, round(_MARGIN * axis.unit))
    image, known, hole, neck, wanted = (each[box] for each in (image, known, hole, neck, wanted))
    hidden_neck = beside[box] * np.maximum(nearest_values(neck, known), above[box[0]])
    in_neck = np.where(hole, hidden_neck, neck | ~known).astype(np.float32)
    share = cv2.GaussianBlur(in_neck, (0, 0), max(_BLEND * axis.unit, 0.5)) * (wanted & neck.any())
    clothes = known & ~neck
    if clothes.sum() < _LEAST_CLOTHES_SHARE * known.sum():
        clothes = known
    colors = fill(image, clothes, wanted & (share < 0.99))
    if neck.any():
        skin = fill(image, neck, wanted & (share > 0.01), _NECK_SMOOTH_FRACTION, _NECK_TEXTURE)
        skin *= _neck_light(known, alpha[box], axis.unit, gain)
        beside_head = cv2.distanceTransform((seen[box] | known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        in_shadow = hole & (beside_head > _CONTACT * axis.unit) & (share > 0.5)
        skin *= _shadow(image, skin, known, in_shadow, axis.unit)
        colors += share[..., None] * (skin - colors)
    result[box] = np.where(wanted[..., None], np.rint(colors).clip(0, 255), image).astype(np.uint8)
    in_hole[box] = share
    return result, in_hole


def _neck_light(known: np.ndarray, alpha: np.ndarray, unit: float, gain: np.ndarray) -> np.ndarray:
    """Returns the light on a continued neck, [H, W, 3]: less in the shadow of the head and at the outline.

    Args:
        known: bool [H, W], where the image shows the body.
        alpha: float32 [H, W], opacity of the body.
        unit: pixels of a head unit.
        gain: [3], light beyond the known neck, over that on it.
    """
    to_known, to_outline = (
        cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) / unit
        for mask in (~known, alpha > 0.5)
    )
    under_head, at_outline = (to_known / _SHADOW_REACH).clip(0, 1), (1 - to_outline / _TURNED_AWAY).clip(0, 1)
    turned_away = _OUTLINE_SHADE * at_outline**2 * (to_known / _TURNED_AWAY).clip(0, 1)
    shade = ((1 - _HEAD_SHADE * under_head) * (1 - turned_away))[..., None] ** _SHADED_SKIN
    return shade * (1 + (gain - 1) * (to_known / _GAIN_REACH).clip(0, 1)[..., None])


def _shadow(image: np.ndarray, skin: np.ndarray, known: np.ndarray, seen: np.ndarray, unit: float) -> np.ndarray:
    """Returns the light on a continued neck where the chin throws its shadow, over the light beyond it, [H, W, 1].

    The shadow is soft, for that of another pose lies elsewhere, and ends where the neck is known.

    Args:
        image: uint8 [H, W, 3].
        skin: float32 [H, W, 3], the continued neck without the shadow.
        known: bool [H, W], where the image shows the body.
        seen: bool [H, W], where it shows the neck within the margin of the head, but not at the chin itself.
        unit: pixels of a head unit.
    """
    shown = seen[..., None] * np.dstack([image.sum(2), skin.sum(2), np.ones(seen.shape)]).astype(np.float32)
    blurred = [share * cv2.GaussianBlur(shown, (0, 0), sigma * unit) for sigma, share in _SHADOW_BLURS]
    light, without, weight = np.moveaxis(np.sum(blurred, 0), -1, 0)
    to_known = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) / unit
    strength = (weight / _SHADOW_WEIGHT).clip(0, 1) * (to_known / _SHADOW_EDGE).clip(0, 1)
    return (1 + strength * ((light / np.maximum(without, 1)).clip(_DEEPEST_SHADOW, 1) - 1))[..., None]


def _median_color(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the median color of a part of an image, [3], 1 to 256; 1 of no part."""
    return np.median(image[mask], 0) + 1.0 if mask.any() else np.ones(3)


def _neck_region(shape: tuple[int, ...], axis: NeckAxis, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns how far pixels are beside the neck's axis [H, W], and above its end [H, 1]: 1 if in a neck, else 0.

    Args:
        shape: of the image.
        axis: axis of the neck.
        end: height of the neck's end under the axis' base, head units.
    """
    y, x = (np.arange(n, dtype=np.float32) for n in shape)
    beside = np.abs(x - axis.x(y)[:, None]) / axis.unit
    inside = np.clip(0.5 + (_FILLED_HALF_WIDTH - beside) / (_NECK_RAMP / 2), 0, 1)
    below = (y - axis.base[1]) / axis.unit
    return inside, np.clip(1 + (end - below) / _NECK_RAMP, 0, 1)[:, None]


def _visible_neck(
    image: np.ndarray, known: np.ndarray, hole: np.ndarray, seen: np.ndarray, face: Landmarks, axis: NeckAxis
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pixels whose color the neck takes, and all skin that the image shows of it, bool [H, W] each.

    The first are skin below the chin, best beyond the chin's shadow. Without visible skin (beard, scarf, turtleneck)
    they are what adjoins the head.
    """
    y, x = (np.arange(n, dtype=np.float32) for n in hole.shape)
    distance = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) / axis.unit
    in_reach = (distance < _NECK_REACH) & (np.abs(x - axis.x(y)[:, None]) < _NECK_HALF_WIDTH * axis.unit)
    if not hole.all():
        in_reach &= (y > axis.base[1] - 0.4 * axis.unit)[:, None]
    near = known & in_reach
    side = 2 * max(round(0.03 * axis.unit), 1) + 1
    of_skin = cv2.medianBlur(like_skin(image, face).astype(np.uint8), side) > 0
    seen_neck = (near | seen & in_reach) & of_skin
    if seen_neck.any():  # the chin's contact shadow goes with the head
        light = image.sum(2, dtype=np.float32)
        seen_neck &= ~hole | (light > _LIT * np.median(light[seen_neck]))
    for skin in (near & of_skin, seen_neck):
        if (skin & (distance < 1.5 * _RIM)).sum() > _LEAST_SKIN * axis.unit**2:
            return skin, seen_neck
    rim = image[near & (distance < _RIM)].astype(np.float32)
    if not len(rim):
        return np.zeros_like(hole), seen_neck
    color = np.median(rim, 0)
    spread = float(np.median(np.abs(rim - color).sum(1)))
    return near & (np.abs(image - color).sum(2) < _RIM_SPREADS * spread + _RIM_LEVELS), seen_neck


def like_skin(image: np.ndarray, face: Landmarks) -> np.ndarray:
    """Returns the pixels with the hue of the face's cheeks, in deep shade or bright light, bool [H, W]."""
    half = max(round(0.04 * face.size), 1)
    height, width = image.shape[:2]
    patches = []
    for x, y in (face.points[[31, 35]] + face.points[[3, 13]]) / 2:  # between nostril and jaw
        left, top = int(np.clip(x, 0, width - 1)), int(np.clip(y, 0, height - 1))
        patches.append(image[max(top - half, 0) : top + half + 1, max(left - half, 0) : left + half + 1].reshape(-1, 3))
    cheek = np.median(np.concatenate(patches), 0).astype(np.float32) + 1
    light = (image.sum(2, dtype=np.float32) + 3) / cheek.sum()
    hue = np.abs((image + np.float32(1)) / (light * cheek.sum())[..., None] - cheek / cheek.sum()).sum(2)
    # Gray cloth and white walls are near to the hue of pale skin, but farther than most of the face.
    hull = cv2.convexHull(face.points[:, :2].round().astype(np.int32))
    in_face = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), hull, 1) > 0
    of_face = np.quantile(hue[in_face], _OF_FACE) if in_face.any() else 0.0
    limit = np.clip(_TOWARD_GRAY * np.abs(cheek / cheek.sum() - 1 / 3).sum(), of_face, _SKIN_HUE)
    return (hue <= limit) & (light > _SKIN_LIGHT[0]) & (light < _SKIN_LIGHT[1])
