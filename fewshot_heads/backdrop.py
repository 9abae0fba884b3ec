"""The still layer of a head: the first picture's background, what other pictures of that scene know of it, and a guess
where none does."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from fewshot_heads.filling import filled
from fewshot_heads.imaging.warping import resize
from fewshot_heads.landmarks import N_POINTS
from fewshot_heads.landmarks.stickman import head_mask

_AGREE = 12  # grey levels by which two pictures of a place differ, blurred
_ALIKE = 0.5  # of what both show around their heads must agree for a place to be the same
_SEEN = 0.05  # of a crop, the least to judge a place by
_AROUND = 0.12  # of the crop: hair reaches so far beyond the points of a head
_FAR = 0.3  # of the crop: and so far above the chin, where the rest of a person is not
HAIR_FRINGE_CROP_FRACTION = 0.02  # of the crop: single hairs reach so far beyond a matte
_SWAY = 0.02  # of the crop: a crown's way over which hair begins to have gone; twice as far it has
_NEAR = 0.004  # of the crop: a head so much farther from the driver's place counts e times less
_FILLS = 0.01  # the same, of who fills what the nearest head hides
_FILL = 0.05  # what all who may fill count together, where the nearest sees
_IN_USE = 4  # pictures blended in one frame, at most
_PLATE = 0.003 * _FILL  # what the plate counts beside the nearest pictures, 1 together
_STUB = 0.12  # of the crop: so far into it hats go on that are cut by its edge, for outside they stay
_LEAST = 1e-6  # a share below which a place is seen by nobody


class BackgroundModel:
    """What is behind a head of K pictures.

    images uint8 [K, S, S, 3]; points [K, N, 2]: control points of their heads, pixels; people float32 [K, S, S]: how
    much of each place is a person (`matte.person_matte`).
    The background stays the first picture's. Pictures that show the same scene, such as frames of one video, lend
    theirs: the nearer the head is to the driver's, the more, for shoulders and hair are then in their places too. Where
    all these hide the scene by their heads, the plate shows it: the mean of all pictures, without their heads. Of a
    lone picture the plate is a guess from what lies beside the head; several are carried there, each from nearby.
    """

    def __init__(self, images: np.ndarray, points: np.ndarray, people: np.ndarray, device: torch.device):
        self.size = images.shape[1]
        heads = np.stack([head_mask(each, self.size) for each in points])
        self.scene = frames_of_same_scene(images, heads)
        self._chin = max(chin_row(heads[i]) for i in self.scene)
        wide = np.stack([np.maximum(dilate_soft(people[i], HAIR_FRINGE_CROP_FRACTION), heads[i]) for i in self.scene])
        zones = np.stack([hair_margin_mask(heads[i]) for i in self.scene])
        self._people = torch.from_numpy(wide)[:, None].to(device)
        clear = torch.from_numpy(1 - zones * wide)[:, None].to(device)
        self._clear, self._seen = clear, clear.amax(0)
        self._heads = torch.from_numpy(heads[self.scene])[:, None].to(device)
        self._points = torch.from_numpy(points[self.scene])
        self._numbers, self._lone = torch.tensor(self.scene), len(images) == 1

    def plate(self, images: Tensor) -> Tensor:
        """Of all pictures [K, 3, R, R] their mean without heads [3, R, R]; filled in where all have theirs."""
        shares = resize(self._clear / self._clear.sum(0).clamp_min(_LEAST), images.shape[-1])
        mattes = resize(self._people, images.shape[-1])
        hidden = 1 - shares.sum(0)  # there the first stays as it is: a row that is all hat goes on as a hat
        mean, clothes = images[0] * hidden, mattes[0] * hidden
        for number, share, matte in zip(self.scene, shares, mattes, strict=True):
            mean += images[number] * share
            clothes += matte * share
        return filled(mean, self._seen[0], clothes, self._chin)

    def behind(self, driver: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For driver's control points [B, N, 2] (pixels): which of the K pictures are in use [B, T], their shares of
        each place and the plate's [B, T + 1, 1, S, S], which sum to 1, and [B, 1, S, S], 0 to 1, where these show only
        heads."""
        ways = (self._points[None] - driver[:, None]).norm(dim=-1) / self.size
        nearest, use = ways.mean(-1).topk(min(_IN_USE, len(self.scene)), largest=False)
        near, fills = (torch.softmax(-nearest / each, 1) for each in (_NEAR, _FILLS))
        near = near.lerp(fills, _FILL).to(self._heads)[..., None, None, None]
        gone = displacement_weight(ways).gather(1, use).to(self._heads)[..., None, None, None]
        there = use.to(self._heads.device)
        hidden = torch.maximum(self._heads[there], gone * (1 - self._clear[there]))
        # Hair stays in a picture whose head is near; in the plate it would be of all heads.
        seen = near * ((1 - hidden) ** 4 + _LEAST)
        shares = seen / (seen.sum(1, keepdim=True) + _PLATE * self._seen)
        if self._lone:  # what the driver's face hides need not be guessed, nor what a head does that is in its place
            face, head = (
                torch.from_numpy(np.stack([head_mask(each[:count], self.size) for each in driver.numpy()])).to(hidden)
                for count in (N_POINTS, None)
            )
            front = torch.maximum(face[:, None, None], head[:, None, None] * (1 - gone))
            shares = shares * (1 - hidden * (1 - front))
            hidden = hidden * front
        heads = (shares * hidden).sum(1)
        return self._numbers[use], torch.cat([shares, 1 - shares.sum(1, keepdim=True)], 1), heads


def head_occlusion_mask(source: np.ndarray, driver: np.ndarray, size: int) -> np.ndarray:
    """Where the driver's head hides what is behind it, [S, S], 0 to 1: all control points [N, 2] in pixels.

    That is its hull, and where it has gone far from the source's all the place its hair may take, which goes along.
    """
    head = head_mask(driver, size)
    gone = float(displacement_weight(torch.from_numpy(source - driver).norm(dim=-1) / size))
    return np.maximum(head, gone * hair_margin_mask(head)) if gone else head


def displacement_weight(ways: Tensor) -> Tensor:
    """[...] for the ways [..., N] of control points (of the crop): 1 where hair has gone far and would stay behind as a
    ghost; 0 where it only sways and may be left alone."""
    crowns = ways[..., N_POINTS:].mean(-1)
    return ((crowns - _SWAY) / _SWAY).clamp(0, 1)


def clean_plate_wide(
    picture: Tensor, person: np.ndarray, points: np.ndarray, span: float, own: tuple[slice, slice]
) -> Tensor:
    """The plate [3, R, R] of a lone picture that is known around its crop: behind a hat as wide as the crop is what
    lies beside that.

    picture [3, W, W] with the crop in its middle, W = span * R; person float32 [V, V]: its matte, V = span * S;
    points [N, 2]: control points of its head, pixels of the crop S x S; own: rows and columns of V that are the
    picture's own, and all of the crop's; beyond them it is mirrored.
    """
    size, side = len(person), round(picture.shape[-1] / span)
    crop = round((1 - 1 / span) / 2 * size)  # where it begins
    head = head_mask(points + crop, size)
    hidden = hair_margin_mask(head, span) * np.maximum(dilate_soft(person, HAIR_FRINGE_CROP_FRACTION / span), head)
    known, matte = (torch.from_numpy(each).to(picture) for each in (1 - hidden, person))
    matte = resize(matte[None, None], picture.shape[-1])[0]
    first = (picture.shape[-1] - side) // 2
    middle = np.s_[:, first : first + side, first : first + side]
    plate = filled(picture, known, matte, chin_row(head), own)[middle]
    # What crosses an edge stays outside of it, and so, for a bit, inside.
    ends, ramp = matte[middle], (1 - (torch.arange(side).to(picture) + 0.5) / (_STUB * side)).clamp(min=0)
    down, up = ramp[:, None], ramp.flip(0)[:, None]
    stubs = [ends[..., :1] * down.T, ends[..., -1:] * up.T, ends[:, :1] * down, ends[:, -1:] * up]
    rows, columns = own
    goes_on = [edge < crop for edge in (columns.start, size - columns.stop, rows.start, size - rows.stop)]
    stays = torch.stack([stub * there for stub, there in zip(stubs, goes_on, strict=True)]).amax(0)
    bare = 1 - resize(torch.from_numpy(head).to(picture)[None, None], picture.shape[-1])[0][middle]
    return plate.lerp(picture[middle], stays * ends * bare)


def blend_backgrounds(images: Tensor, plate: Tensor, use: Tensor, shares: Tensor) -> Tensor:
    """What is behind heads, [B, 3, R, R]: pictures [K, 3, R, R] and their plate, as `BackgroundModel.behind` shares
    them.
    """
    sized = resize(shares.flatten(0, 1), images.shape[-1]).unflatten(0, shares.shape[:2])
    result = plate * sized[:, -1]
    for place in range(use.shape[1]):
        shown = images[use[:, place]] if len(images) > 1 else images  # no copies of a lone one
        result = result + shown * sized[:, place]
    return result


def frames_of_same_scene(images: np.ndarray, heads: np.ndarray) -> list[int]:
    """Indices of the pictures uint8 [K, S, S, 3] that show the scene of the first, which is always one of them.

    heads float32 [K, S, S]: where the heads are, which are not looked at. What is beside and above them has to agree,
    and what is below: two pictures on a white wall are one scene only if the clothes are the same too.
    """
    width = max(images.shape[1] // 32, 1)
    blurred = [cv2.blur(image, (width, width)).astype(np.int16) for image in images]
    clear = np.stack([dilate_soft(head, _AROUND) for head in heads]) < 0.5
    chins = [chin_row(head) for head in heads]
    found = [0]
    for i in range(1, len(images)):
        agree, around = np.abs(blurred[i] - blurred[0]).mean(2) < _AGREE, clear[0] & clear[i]
        below = np.arange(len(around))[:, None] > max(chins[0], chins[i])
        parts = [part for part in (around & ~below, around & below) if part.mean() > _SEEN / 2]
        if around.mean() > _SEEN and all(agree[part].mean() > _ALIKE for part in parts):
            found.append(i)
    return found


def hair_margin_mask(head: np.ndarray, span: float = 1.0) -> np.ndarray:
    """[S, S], 1 on a head and wherever its hair may be: about it, and farther out above the chin. S is span crops."""
    around, far = _AROUND / span, _FAR / span
    below = np.arange(len(head), dtype=np.float32)[:, None] - chin_row(head)
    above = np.clip(0.5 - below / (around * len(head)), 0, 1)
    return np.maximum(dilate_soft(head, around), dilate_soft(head, far) * above)


def chin_row(head: np.ndarray) -> int:
    """The lowest row of a head [S, S]."""
    return int(np.flatnonzero((head > 0.5).any(1)).max(initial=0))


def dilate_soft(mask: np.ndarray, share: float) -> np.ndarray:
    """[S, S] wider by a share of S, with a soft edge."""
    # Not DIST_MASK_PRECISE, whose last bit depends on where the array lies in memory.
    away = cv2.distanceTransform((mask < 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    away = np.minimum(away, len(mask))  # it is without bounds where there is no mask at all
    return np.clip(2.5 - away * (2 / (share * len(mask))), 0, 1)
