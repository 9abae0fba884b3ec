"""The still layer of a head: the first picture's background, and what other pictures of that scene know of it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.landmarks.geometry import Crop, control_points
from fewshot_heads.landmarks.stickman import draw_head

_AGREE = 12  # grey levels by which two pictures of a place differ, blurred
_ALIKE = 0.5  # of what both show around their heads must agree for a place to be the same
_SEEN = 0.05  # of a crop, the least to judge a place by
_AROUND = 0.12  # of the crop: hair reaches so far beyond the points of a head
_SWAY = 0.06  # of the crop: a crown's way over which hair begins to have gone; twice as far it has
_NEAR = 0.004  # of the crop: a head so much farther from the driver's place counts e times less
_FILLS = 0.01  # the same, of who fills what the nearest head hides
_FILL = 0.05  # what all who may fill count together, where the nearest sees
_WIDER = 1.4  # times the first picture's crop: one for all may be so large
_IN_USE = 4  # pictures blended in one frame, at most
_PLATE = 0.003 * _FILL  # what the plate counts beside the nearest pictures, 1 together
_HIDDEN = 2e-5 * _FILL  # a share below which a place is seen by nobody


class Backdrop:
    """What is behind a head of K pictures.

    images uint8 [K, S, S, 3]; points [K, N, 2]: control points of their heads, pixels.
    The background stays the first picture's. Pictures that show the same scene, such as frames of one video, lend
    theirs: the nearer the head is to the driver's, the more, for shoulders and hair are then in their places too. Where
    all these hide the scene by their heads, the plate shows it: the mean of all pictures, without their heads.
    """

    def __init__(self, images: np.ndarray, points: np.ndarray, device: torch.device):
        self.size = images.shape[1]
        heads = np.stack([draw_head(each, self.size) for each in points])
        self.scene = same_scene(images, heads)
        clear = torch.from_numpy(np.stack([_clear(heads[i]) for i in self.scene]))[:, None].to(device)
        self._clear, self._seen = clear, clear.amax(0)
        self._heads = torch.from_numpy(heads[self.scene])[:, None].to(device)
        self._points = torch.from_numpy(points[self.scene])
        self._numbers = torch.tensor(self.scene)

    def plate(self, images: Tensor) -> Tensor | None:
        """Of all pictures [K, 3, R, R] their mean without heads [3, R, R]; None if the first is alone in its scene."""
        if len(self.scene) == 1:
            return None
        shares = _at(self._clear / self._clear.sum(0).clamp_min(_HIDDEN), images)
        result = torch.zeros_like(images[0])
        for number, share in zip(self.scene, shares, strict=True):
            result += images[number] * share
        return result

    def behind(self, driver: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For driver's control points [B, N, 2] (pixels): which of the K pictures are in use [B, T], their shares of
        each place and, if there is one, the plate's [B, T or T + 1, 1, S, S], which sum to 1, and [B, 1, S, S], 0 to 1,
        where only heads are to be seen."""
        ways = (self._points[None] - driver[:, None]).norm(dim=-1) / self.size
        nearest, use = ways.mean(-1).topk(min(_IN_USE, len(self.scene)), largest=False)
        near, fills = (torch.softmax(-nearest / each, 1) for each in (_NEAR, _FILLS))
        near = near.lerp(fills, _FILL).to(self._heads)[..., None, None, None]
        # Hair that has gone far would stay behind as a ghost; where it only sways it may be left alone.
        crowns = ways[..., N_POINTS:].mean(-1).gather(1, use).to(self._heads)
        gone = ((crowns - _SWAY) / _SWAY).clamp(0, 1)[..., None, None, None]
        there = use.to(self._heads.device)
        hidden = torch.maximum(self._heads[there], gone * (1 - self._clear[there]))
        if len(self.scene) == 1:
            return self._numbers[use], torch.ones_like(hidden), hidden[:, 0]
        # Hair stays in a picture whose head is near; in the plate it would be of all heads.
        seen = near * (1 - hidden) ** 4 + _HIDDEN * near
        shares = torch.cat([seen, (_PLATE * self._seen).expand(len(seen), 1, -1, -1, -1)], 1)
        shares = shares / shares.sum(1, keepdim=True)
        return self._numbers[use], shares, (shares[:, :-1] * hidden).sum(1)


def blended(images: Tensor, plate: Tensor | None, use: Tensor, shares: Tensor) -> Tensor:
    """What is behind heads, [B, 3, R, R], of pictures [K, 3, R, R], their plate, and what `Backdrop.behind` says."""
    if plate is None:  # the first, and no copies of it
        return images[:1].expand(len(use), -1, -1, -1)
    sized = _at(shares.flatten(0, 1), images).unflatten(0, shares.shape[:2])
    result = plate * sized[:, -1]
    for place in range(use.shape[1]):
        result = result + images[use[:, place]] * sized[:, place]
    return result


def _at(shares: Tensor, pictures: Tensor) -> Tensor:
    """[N, 1, S, S] at the pictures' resolution."""
    side = pictures.shape[-1]
    return shares if shares.shape[-1] == side else F.interpolate(shares, (side, side), mode="bilinear")


def same_scene(images: np.ndarray, heads: np.ndarray) -> list[int]:
    """Indices of the pictures uint8 [K, S, S, 3] that show the scene of the first, which is always one of them.

    heads float32 [K, S, S]: where the heads are, which are not looked at. What is beside and above them has to agree,
    and what is below: two pictures on a white wall are one scene only if the clothes are the same too.
    """
    width = max(images.shape[1] // 32, 1)
    blurred = [cv2.blur(image, (width, width)).astype(np.int16) for image in images]
    clear = np.stack([_clear(head) for head in heads]) > 0.5
    chins = [int(np.flatnonzero((head > 0.5).any(1)).max(initial=0)) for head in heads]
    found = [0]
    for i in range(1, len(images)):
        agree, around = np.abs(blurred[i] - blurred[0]).mean(2) < _AGREE, clear[0] & clear[i]
        below = np.arange(len(around))[:, None] > max(chins[0], chins[i])
        parts = [part for part in (around & ~below, around & below) if part.mean() > _SEEN / 2]
        if around.mean() > _SEEN and all(agree[part].mean() > _ALIKE for part in parts):
            found.append(i)
    return found


def framed_alike(images: Sequence[np.ndarray], faces: Sequence[Landmarks], crops: Sequence[Crop]) -> list[Crop]:
    """The crops of K pictures uint8 [H, W, 3], with one for all that show the first one's scene, so that their
    backgrounds lie upon each other. Unless the head moves about so much that it would be too small in it, or leave
    it."""
    first, (height, width, _) = crops[0], images[0].shape
    alike = [i for i, image in enumerate(images) if image.shape == images[0].shape]
    small = [cv2.resize(images[i], (first.size, first.size), interpolation=cv2.INTER_AREA) for i in alike]
    scale = np.array([first.size / width, first.size / height])
    heads = [draw_head(control_points(faces[i]) * scale, first.size) for i in alike]
    scene = [alike[i] for i in same_scene(np.stack(small), np.stack(heads))]
    shared = Crop.around([faces[i] for i in scene], first.size)
    sides = [crops[i].side for i in scene]
    boxes = np.array([shared.to_crop(faces[i]).box for i in scene])
    if not max(sides) / _WIDER <= shared.side <= first.side * _WIDER or boxes.min() < 0 or boxes.max() > first.size:
        return list(crops)
    return [shared if i in scene else crop for i, crop in enumerate(crops)]


def _clear(head: np.ndarray) -> np.ndarray:
    """[S, S], 1 well away from a head and 0 on it and on its hair."""
    reach = round(_AROUND * len(head))
    wide = cv2.dilate(head, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    return 1 - cv2.GaussianBlur(wide, (0, 0), max(reach / 6, 0.5))
