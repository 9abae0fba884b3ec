"""Clean plates of a portrait: the background without the person, and the body without the head.

"Clean plate" is the film term for a shot without the actor. A renderer lays the moving head over both plates.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.landmarks import JAW, Landmarks
from fewshot_heads.layers.body_colors import body_colors
from fewshot_heads.layers.body_outline import NeckAxis, body_under_head
from fewshot_heads.layers.patch_fill import fill, smooth_layer

_OPAQUE = 0.9  # opacity above which a pixel shows the body alone
_FAINT = 0.1  # opacity above which a pixel may show the person or the head
# Fractions of the image's longer side.
_PERSON_MARGIN_FRACTION = 0.02  # blur and hair reach so far beyond the matte
_TEXTURE_DEPTH_FRACTION = 0.2  # deeper behind the person there is no texture, because nothing uncovers that
_STRAY_REACH_FRACTION = 0.08  # single hairs begin so near to this margin, and reach twice as far
_STRAY_THICKNESS_FRACTION = 0.05  # wider than strands are things on the wall, which stay
_STRAY_MARGIN_FRACTION = 0.01  # around each found hair
_STRAY_WALL_FRACTION = 0.05  # standard deviation of the smooth wall that hairs are compared with
_LEAST_WALL_FRACTION = 0.05  # side of a piece of wall between locks; around smaller ones, all of it shows hair
_LEAST_WALL_SHARE = 0.02  # of the image, beyond the reach of hairs: less background says nothing about its texture
_PLAIN_WALL_LEVELS = 30.0  # a wall where hairs must differ by more is a landscape or a room
_STRAY_LEVELS, _STRAY_RATIO = 3.0, 1.5  # a hair differs more than this, and than the 98th percentile of the wall times
# Head units, see `landmarks.pose`.
_HEAD_MARGIN = 0.12  # around the head, whose outline on the body would stay as a line
_CHIN_MARGIN = 0.25  # below the chin, where its contact shadow would stay as a line
_CHIN_HALF_WIDTH = 0.75
_STRAND_GAP = 0.06  # half of the width of gaps between strands of hair
_NECK_EDGE = 0.02  # of its matte, which is soft
_RESTING_BELOW, _RESTING_ASIDE = 0.15, 0.6  # the chin, and the neck's axis: from there on, hair lies on shoulders
_JAW_REACH = 0.85  # from the neck's axis: farther aside are shoulders
_LEAST_SIDE = 0.32  # smaller pieces of a body are errors of the matte


class BodyLayer(NamedTuple):
    """The body without the head.

    Attributes:
        colors: uint8 [H, W, 3], defined where the opacity is above 0. Elsewhere they are the image's.
        alpha: float32 [H, W], 0 to 1, opacity.
        hole: bool [H, W], where the head was, with a margin. Colors and opacity are inpainted there.
        neck: float32 [H, W], 0 to 1, the share of a neck in the inpainted colors.
    """

    colors: np.ndarray
    alpha: np.ndarray
    hole: np.ndarray
    neck: np.ndarray


def background_plate(image: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Returns the image without the person, uint8 [H, W, 3].

    Behind the person and in a margin around it, the background is inpainted, see `patch_fill`. Deep behind the person,
    where nothing becomes visible, the fill has no texture. On plain walls, single hairs beyond the margin are removed
    too. Other pixels are unchanged. If the person is everywhere, the image is returned. About 0.2 s for 512 x 512
    pixels on one core.

    Args:
        image: uint8 RGB [H, W, 3].
        person: float32 [H, W], 0 to 1, matte of the person with the head.
    """
    size = max(person.shape)
    hidden = with_margin(person)
    if hidden.all():
        hidden = person > _FAINT
    hidden = _without_islands(hidden | _stray_hairs(image, hidden), _LEAST_WALL_FRACTION * size)
    depth = cv2.distanceTransform(hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.rint(fill(image, ~hidden, depth < _TEXTURE_DEPTH_FRACTION * size)).clip(0, 255).astype(np.uint8)


def body_layer(image: np.ndarray, person: np.ndarray, head: np.ndarray, face: Landmarks) -> BodyLayer:
    """Returns the body without the head.

    Under the head, the neck goes up to the ears' lobes and the shoulders go on behind hair. Hair that lies on them is
    part of the body too: what it hides is not known, and it does not leave the shoulders when the head turns. About
    0.2 s for 512 x 512 pixels on one core.

    Args:
        image: uint8 RGB [H, W, 3].
        person: float32 [H, W], 0 to 1, matte of the person with the head.
        head: float32 [H, W], 0 to 1, matte of face, ears and hair.
        face: landmarks, pixels.
    """
    axis = NeckAxis.of(face)
    hole = _head_hole(head, axis)
    # The wall that is seen between strands of hair is too narrow to tell where the body ends.
    filled = cv2.morphologyEx(person, cv2.MORPH_CLOSE, disk(_STRAND_GAP * axis.unit))
    chin = max(axis.base[1], float(face.points[JAW, 1].max()))
    neck, wall = _beside_jaw(hole, person, filled, head, axis, chin + _CHIN_MARGIN * axis.unit)
    unseen = hole & ~neck & ~wall
    seen = np.where(wall, 0, person)
    alpha = _without_specks(np.where(unseen, body_under_head(filled, unseen, axis), seen), axis)
    in_sight = person - head > _OPAQUE
    resting = (head > 0.5) & (alpha > _OPAQUE) & _beside_neck(head.shape, axis, chin)
    painted = hole & _head_hole(np.where(resting, 0, head), axis)
    colors, inpainted_neck = body_colors(image, alpha, painted, in_sight, face, axis)
    return BodyLayer(colors, alpha.astype(np.float32), hole, inpainted_neck)


def _beside_neck(shape: tuple[int, ...], axis: NeckAxis, chin: float) -> np.ndarray:
    """Returns where hair that is seen before the body lies on it, bool [H, W]; beards and curls at the neck do not.

    Args:
        shape: of the image.
        axis: axis of the neck.
        chin: row of the chin.
    """
    y, x = (np.arange(n, dtype=np.float32) for n in shape)
    aside = np.abs(x - axis.x(y)[:, None]) > _RESTING_ASIDE * axis.unit
    return aside & (y > chin + _RESTING_BELOW * axis.unit)[:, None]


def with_margin(person: np.ndarray) -> np.ndarray:
    """Returns where a matte [H, W], its blur and its hair may be seen, bool [H, W]."""
    reach = disk(_PERSON_MARGIN_FRACTION * max(person.shape))
    return cv2.dilate((person > _FAINT).astype(np.uint8), reach) > 0


def disk(radius: float) -> np.ndarray:
    """Returns a round structuring element, at least a pixel in radius."""
    side = 2 * max(round(radius), 1) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _stray_hairs(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Returns pixels beside the person that differ from a plain wall, bool [H, W]. None on textured backgrounds.

    Args:
        image: uint8 [H, W, 3].
        hidden: bool [H, W], the person with its margin.
    """
    size = max(hidden.shape)
    if hidden.all() or not hidden.any():
        return np.zeros_like(hidden)
    distance = cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    near = (distance < _STRAY_REACH_FRACTION * size) & ~hidden
    wall = ~near & ~hidden
    if wall.mean() < _LEAST_WALL_SHARE:
        return np.zeros_like(hidden)
    reach = ~hidden & (distance < 2 * _STRAY_REACH_FRACTION * size)
    strays = np.zeros(hidden.shape, np.uint8)
    for _ in range(2):  # the second time, the wall is smoothed without the hairs
        smooth = smooth_layer(image.astype(np.float32), ~hidden & (strays == 0), _STRAY_WALL_FRACTION)
        difference = cv2.blur(np.abs(image - smooth).max(2), (3, 3))
        limit = max(_STRAY_RATIO * float(np.percentile(difference[wall], 98)), _STRAY_LEVELS)
        if limit > _PLAIN_WALL_LEVELS:
            return np.zeros_like(hidden)
        strays = ((difference > limit) & reach).astype(np.uint8)
    wide = cv2.morphologyEx(strays, cv2.MORPH_OPEN, disk(_STRAY_THICKNESS_FRACTION / 2 * size)) > 0
    strays[wide] = 0
    count, labels = cv2.connectedComponents(strays)
    touching = np.bincount(labels[near], minlength=count) > 0
    touching[0] = False  # no stray hair
    return (cv2.dilate(touching[labels].astype(np.uint8), disk(_STRAY_MARGIN_FRACTION * size)) > 0) & ~hidden


def _head_hole(head: np.ndarray, axis: NeckAxis) -> np.ndarray:
    """Returns where the head hides the body, with a margin that is wider below the chin, bool [H, W].

    Small islands that hair encloses belong to the hole.
    """
    solid = (head > _FAINT).astype(np.uint8)
    y, x = (np.arange(n, dtype=np.float32) for n in head.shape)
    chin = solid * (np.abs(x - axis.x(y)[:, None]) < _CHIN_HALF_WIDTH * axis.unit)
    hole: np.ndarray = np.maximum(
        cv2.dilate(solid, disk(_HEAD_MARGIN * axis.unit)), cv2.dilate(chin, disk(_CHIN_MARGIN * axis.unit))
    )
    return _without_islands(hole > 0, _LEAST_SIDE * axis.unit)


def _without_islands(hole: np.ndarray, side: float) -> np.ndarray:
    """Returns a hole, bool [H, W], with what it encloses, if that is smaller than a square of this side, pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~hole).astype(np.uint8))
    islands = stats[:, cv2.CC_STAT_AREA] < side**2
    islands[0] = False  # the hole itself
    return np.asarray(hole | islands[labels])


def _beside_jaw(
    hole: np.ndarray, person: np.ndarray, filled: np.ndarray, head: np.ndarray, axis: NeckAxis, bottom: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the neck and the wall are seen beside the jaw, in the margin of the hole, bool [H, W] each.

    Args:
        hole: bool [H, W], the head with its margin.
        person: float32 [H, W], 0 to 1.
        filled: the same without narrow gaps.
        head: float32 [H, W], 0 to 1.
        axis: axis of the neck.
        bottom: row at which the margin below the chin ends.
    """
    y, x = (np.arange(n, dtype=np.float32) for n in hole.shape)
    aside = x - axis.x(y)[:, None]
    near = hole & (np.abs(aside) < _JAW_REACH * axis.unit) & (y < bottom)[:, None]
    neck = cv2.dilate((near & (person - head > 0.5)).astype(np.uint8), disk(_NECK_EDGE * axis.unit)) > 0
    neck, wall = neck & near, near & (filled < 0.5)
    for side in (aside > 0, aside <= 0):
        above_neck = ~np.logical_or.accumulate((neck & side).any(1))
        wall &= ~(side & above_neck[:, None])
    return neck, wall


def _without_specks(alpha: np.ndarray, axis: NeckAxis) -> np.ndarray:
    """Returns the opacity of a body without small pieces, such as tips of hair, float32 [H, W]."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > _FAINT / 2).astype(np.uint8))
    bottom = stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT]
    kept = (stats[:, cv2.CC_STAT_AREA] > (_LEAST_SIDE * axis.unit) ** 2) | (bottom == len(alpha))
    kept[0] = False
    return alpha * kept[labels]
