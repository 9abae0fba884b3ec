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
_NEAR = 0.01  # of the crop: a head so much farther from the driver's place counts e times less
_WIDER = 1.4  # times the first picture's crop: one for all may be so large
_IN_USE = 4  # pictures blended in one frame, at most
_PLATE = 0.003  # what the plate counts beside the nearest pictures, 1 together
_HIDDEN = 2e-5  # a share below which a place is seen by nobody


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
        self._plate = clear / clear.sum(0).clamp_min(_HIDDEN)
        self._heads = torch.from_numpy(heads[self.scene])[:, None].to(device)
        self._hair = 1 - clear
        # Hair stays in a picture whose head is near; in the plate it would be of all heads.
        self._shows = torch.cat([(1 - self._heads) ** 4, clear.amax(0, keepdim=True)])
        self._points = torch.from_numpy(points[self.scene])

    def pictures(self, images: Tensor) -> Tensor:
        """[K, 3, R, R] to [L, 3, R, R]: those of the scene and, if there are several, the plate at the end."""
        if len(self.scene) == 1:
            return images[:1]
        return torch.cat([images[self.scene], (images[self.scene] * _at(self._plate, images)).sum(0, keepdim=True)])

    def behind(self, driver: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For driver's control points [B, N, 2] (pixels): which of the L pictures are in use [B, T], their shares of
        each place [B, T, 1, S, S], which sum to 1, and [B, 1, S, S], 0 to 1, where only heads are to be seen."""
        away = (self._points[None] - driver[:, None]).norm(dim=-1).mean(-1) / self.size
        nearest, use = away.topk(min(_IN_USE, len(self.scene)), largest=False)
        near = torch.softmax(-nearest / _NEAR, 1)
        # Hair that has gone far would stay behind as a ghost; where it only sways it may be left alone.
        crowns = (self._points[:, N_POINTS:][None] - driver[:, None, N_POINTS:]).norm(dim=-1).mean(-1) / self.size
        gone = ((crowns.gather(1, use) - _SWAY) / _SWAY).clamp(0, 1).to(self._heads)[..., None, None, None]
        there = use.to(self._heads.device)
        hidden = torch.maximum(self._heads[there], gone * self._hair[there])
        heads = (near.to(self._heads)[..., None, None, None] * hidden).sum(1)
        if len(self.scene) > 1:
            use = F.pad(use, (0, 1), value=len(self.scene))
            near = F.pad(near, (0, 1), value=_PLATE)
        use, near = use.to(heads.device), near.to(heads)[..., None, None, None]
        seen = near * self._shows[use]
        shares = seen + _HIDDEN * near
        shares = shares / shares.sum(1, keepdim=True)
        return use, shares, heads * (1 - shares[:, -1]) if len(self.scene) > 1 else heads


def blended(pictures: Tensor, use: Tensor, shares: Tensor) -> Tensor:
    """Pictures [L, 3, R, R] in use [B, T] mixed by shares [B, T, 1, S, S]: [B, 3, R, R]."""
    if use.shape[1] == 1:  # the only one, and no copies of it
        return pictures.expand(len(use), -1, -1, -1)
    return (pictures[use] * _at(shares.flatten(0, 1), pictures).unflatten(0, use.shape)).sum(1)


def _at(shares: Tensor, pictures: Tensor) -> Tensor:
    """[N, 1, S, S] at the pictures' resolution."""
    side = pictures.shape[-1]
    return shares if shares.shape[-1] == side else F.interpolate(shares, (side, side), mode="bilinear")


def same_scene(images: np.ndarray, heads: np.ndarray) -> list[int]:
    """Indices of the pictures uint8 [K, S, S, 3] that show the scene of the first, which is always one of them.

    heads float32 [K, S, S]: where the heads are, which are not looked at.
    """
    width = max(images.shape[1] // 32, 1)
    blurred = [cv2.blur(image, (width, width)).astype(np.int16) for image in images]
    found = [0]
    for i in range(1, len(images)):
        around = (_clear(heads[0]) > 0.5) & (_clear(heads[i]) > 0.5)
        apart = np.abs(blurred[i] - blurred[0]).mean(2)[around]
        if around.mean() > _SEEN and (apart < _AGREE).mean() > _ALIKE:
            found.append(i)
    return found


def framed_alike(images: Sequence[np.ndarray], faces: Sequence[Landmarks], crops: Sequence[Crop]) -> list[Crop]:
    """The crops of K pictures uint8 [H, W, 3], with one for all that show the first one's scene, so that their
    backgrounds lie upon each other. Unless the head moves about so much that it would be too small in it."""
    first, (height, width, _) = crops[0], images[0].shape
    alike = [i for i, image in enumerate(images) if image.shape == images[0].shape]
    small = [cv2.resize(images[i], (first.size, first.size), interpolation=cv2.INTER_AREA) for i in alike]
    scale = np.array([first.size / width, first.size / height])
    heads = [draw_head(control_points(faces[i]) * scale, first.size) for i in alike]
    scene = [alike[i] for i in same_scene(np.stack(small), np.stack(heads))]
    shared = Crop.around([faces[i] for i in scene], first.size)
    if shared.side > _WIDER * first.side:
        return list(crops)
    return [shared if i in scene else crop for i, crop in enumerate(crops)]


def _clear(head: np.ndarray) -> np.ndarray:
    """[S, S], 1 well away from a head and 0 on it and on its hair."""
    reach = round(_AROUND * len(head))
    wide = cv2.dilate(head, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    return 1 - cv2.GaussianBlur(wide, (0, 0), max(reach / 6, 0.5))
