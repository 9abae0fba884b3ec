"""Inpaints the background that a head occludes."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging.warping import resize, resize_flow, sample
from fewshot_heads.rendering.occlusion import (
    HAIR_FRINGE_CROP_FRACTION,
    chin_row,
    dilate_soft,
    hair_margin_mask,
    head_mask,
)

_MARGIN = 0.03  # of the crop: background beside a head that is narrower than this says less of what is behind it
_NECK = 0.06  # of the picture: so far below the chin a neck that is guessed is whole; it begins at the chin
_SLOWLY = 0.3  # rows a guess from below goes down for each it goes up: a neck is short, and then comes a collar
_DEEP = 0.06  # of the picture: so far inside of what is guessed no row stands alone
_CLOTHES = 0.02  # what a person counts beside background, where a guess is made
_LEAST = 1e-6  # a weight that counts where there is no other

_STUB = 0.12  # of the crop: so far into it hats go on that are cut by its edge, for outside they stay


def inpaint_background(
    picture: Tensor, known: Tensor, person: Tensor, chin: int, own: tuple[slice, slice] = (slice(None), slice(None))
) -> Tensor:
    """Inpaints the masked region of an image.

    Above the chin, each row is filled with background mirrored from both sides. Below the chin, neck and clothes are
    extended from the nearest valid pixels. Rows deep inside the hole are blurred to avoid streaks.

    Args:
        picture: [3, R, R], -1 to 1.
        known: [S, S], 0 to 1, 1 where the image is valid.
        person: [1, R, R], 0 to 1, the person matte.
        chin: row of the chin, pixels of S.
        own: rows and columns of S that may be copied.
    """
    size, x = len(known), np.arange(len(known))
    y = x[:, None]
    (_, bottom, _), (left, right, _) = (each.indices(size) for each in own)
    hole = np.zeros((size, size), bool)
    hole[own] = (known < 0.99).cpu().numpy()[own]
    first, last = hole.argmax(1)[:, None].clip(left), (size - 1 - hole[:, ::-1].argmax(1)[:, None]).clip(max=right - 1)
    floor = (size - 1 - hole[::-1].argmax(0)).clip(max=bottom - 1)

    # From the left, the right and below: pixels from the rim, pixels beyond it, and how many are asked for.
    away = _stacked(x - first, last - x, floor - y).clip(0)
    room = _stacked(first - left, right - 1 - last, bottom - 1 - floor)
    asked = _stacked(last - first + 1, last - first + 1, np.maximum(floor + 1 - chin, 1))
    steps = 1 + away * np.minimum(room / asked, 1) * np.array([1, 1, _SLOWLY])[:, None, None]
    found = _looked_up(
        torch.cat([picture, person]), _stacked(first - steps[0], last + steps[1], x), _stacked(y, y, floor + steps[2])
    )
    colors, persons = found[:, :3], found[:, 3:]

    enough = np.minimum(room / (_MARGIN * size), 1)
    fade = ((away + 0.5) / asked).clip(0, 1)[1::-1] ** 2 * enough[:2] + _LEAST
    near = _sized(enough / (away + 1) ** 2, picture)
    background = _mean(colors[:2], _sized(fade, picture) * (1 - persons[:2] + _CLOTHES))
    body = _mean(colors, near * persons + _LEAST**2)
    rises = ((y - chin) / (_NECK * size)).clip(0, 1) * _standing(person, size, bottom) * hole
    below = _sized(rises[None] * enough[2:], picture)[0]
    guess = background.lerp(body, below * persons[2])
    seen = np.where(hole, known.cpu().numpy(), 1)
    result = guess + _sized(seen[None], picture)[0] * (picture - guess)
    return result.lerp(_run(result), _sized(_depth(hole)[None], picture)[0])


def _standing(person: Tensor, size: int, bottom: int) -> np.ndarray:
    """[S, S], 0 to 1: where a person [1, R, R] is, and at all places under it: neck, and no shoulder beside it."""
    matte = resize(person[None], size)[0, 0].cpu().numpy().copy()
    matte[bottom:] = 1
    return np.minimum.accumulate(matte[::-1])[::-1]


def _stacked(*maps: np.ndarray) -> np.ndarray:
    """[3, S, S] of maps of columns, rows or places."""
    return np.stack(np.broadcast_arrays(*maps)).astype(float)


def _mean(colors: Tensor, weights: Tensor) -> Tensor:
    """[C, R, R], the mean of [N, C, R, R] by weights [N, 1, R, R]."""
    return (colors * weights).sum(0) / weights.sum(0)


def _looked_up(picture: Tensor, x: np.ndarray, y: np.ndarray) -> Tensor:
    """picture [C, R, R] at places x, y [N, S, S] of S: [N, C, R, R]."""
    flows = (torch.from_numpy(np.stack([x, y], -1)) + 0.5) * (2 / x.shape[-1]) - 1
    there = resize_flow(flows.to(picture), picture.shape[-1])
    return sample(picture.expand(len(there), -1, -1, -1), there)


def _sized(shares: np.ndarray, picture: Tensor) -> Tensor:
    """Shares [N, S, S] at the picture's resolution, [N, 1, R, R]."""
    return resize(torch.from_numpy(np.ascontiguousarray(shares))[:, None].to(picture), picture.shape[-1])


def _depth(hole: np.ndarray) -> np.ndarray:
    """float32 [S, S]: 0 where nothing is guessed and at its rim, 1 deep inside."""
    away = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.minimum(away, len(hole)).clip(0, _DEEP * len(hole)) / (_DEEP * len(hole))


def _run(picture: Tensor) -> Tensor:
    """[3, R, R] with its rows run into each other."""
    tall = 2 * round(_DEEP / 4 * picture.shape[-1]) + 1
    for _ in range(2):  # two boxes are a tent
        picture = F.avg_pool2d(picture[None], (tall, 1), 1, (tall // 2, 0), count_include_pad=False)[0]
    return picture


def clean_plate_wide(
    picture: Tensor, person: np.ndarray, points: np.ndarray, span: float, own: tuple[slice, slice]
) -> Tensor:
    """Returns the clean plate [3, R, R] of a single source image, with its surroundings.

    The surroundings show background beside a hat that is as wide as the crop.

    Args:
        picture: [3, W, W], -1 to 1, the image with the crop in its middle, W = span * R.
        person: float32 [V, V], 0 to 1, the person matte of the image, V = span * S.
        points: [N, 2], control points of the head, pixels of the crop S x S.
        span: side of the image, in crops.
        own: rows and columns of V that may be copied, because they are in the source image or in the crop.
    """
    size, side = len(person), round(picture.shape[-1] / span)
    crop = round((1 - 1 / span) / 2 * size)  # where it begins
    head = head_mask(points + crop, size)
    hidden = hair_margin_mask(head, span) * np.maximum(dilate_soft(person, HAIR_FRINGE_CROP_FRACTION / span), head)
    known, matte = (torch.from_numpy(each).to(picture) for each in (1 - hidden, person))
    matte = resize(matte[None, None], picture.shape[-1])[0]
    first = (picture.shape[-1] - side) // 2
    middle = np.s_[:, first : first + side, first : first + side]
    plate = inpaint_background(picture, known, matte, chin_row(head), own)[middle]
    # What crosses an edge stays outside of it, and so, for a bit, inside.
    ends, ramp = matte[middle], (1 - (torch.arange(side).to(picture) + 0.5) / (_STUB * side)).clamp(min=0)
    down, up = ramp[:, None], ramp.flip(0)[:, None]
    stubs = [ends[..., :1] * down.T, ends[..., -1:] * up.T, ends[:, :1] * down, ends[:, -1:] * up]
    rows, columns = own
    goes_on = [edge < crop for edge in (columns.start, size - columns.stop, rows.start, size - rows.stop)]
    stays = torch.stack([stub * there for stub, there in zip(stubs, goes_on, strict=True)]).amax(0)
    bare = 1 - resize(torch.from_numpy(head).to(picture)[None, None], picture.shape[-1])[0][middle]
    return plate.lerp(picture[middle], stays * ends * bare)
