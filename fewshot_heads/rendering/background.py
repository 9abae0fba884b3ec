"""Background behind the head.

Pixels come from the first source image, then from other images of the same scene, then from inpainting.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fewshot_heads.imaging.warping import resize
from fewshot_heads.landmarks import N_POINTS
from fewshot_heads.rendering.background_inpainting import inpaint_background
from fewshot_heads.rendering.occlusion import (
    HAIR_FRINGE_CROP_FRACTION,
    chin_row,
    dilate_soft,
    displacement_weight,
    frames_of_same_scene,
    hair_margin_mask,
    head_mask,
)

_NEAR = 0.004  # of the crop: a head so much farther from the driver's place counts e times less
_FILLS = 0.01  # the same, of who fills what the nearest head hides
_FILL = 0.05  # what all who may fill count together, where the nearest sees
_IN_USE = 4  # pictures blended in one frame, at most
_PLATE = 0.003 * _FILL  # what the plate counts beside the nearest pictures, 1 together
_LEAST = 1e-6  # a share below which a place is seen by nobody


class BackgroundModel:
    """The background behind a head, from K source images.

    The background is that of the first image. Images of the same scene, such as frames of one video, add their
    backgrounds. An image has more weight if its head is nearer to the driver's, because its shoulders and hair then
    fit too. The clean plate fills what all of these heads occlude. The plate is the mean of all images without their
    heads, inpainted where no image shows the background.

    Args:
        images: uint8 [K, S, S, 3], crops of the source images.
        points: [K, N, 2], control points of the heads, pixels.
        people: float32 [K, S, S], 0 to 1, person mattes (`person_matte`).
        device: device of the results.
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
        """Returns the clean plate [3, R, R]: the mean of all images without heads, inpainted elsewhere.

        Args:
            images: [K, 3, R, R], -1 to 1, the source images.
        """
        shares = resize(self._clear / self._clear.sum(0).clamp_min(_LEAST), images.shape[-1])
        mattes = resize(self._people, images.shape[-1])
        hidden = 1 - shares.sum(0)  # there the first stays as it is: a row that is all hat goes on as a hat
        mean, clothes = images[0] * hidden, mattes[0] * hidden
        for number, share, matte in zip(self.scene, shares, mattes, strict=True):
            mean += images[number] * share
            clothes += matte * share
        return inpaint_background(mean, self._seen[0], clothes, self._chin)

    def render(self, driver: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns which images show the background of each frame, and how much.

        Args:
            driver: [B, N, 2], control points of the driver, pixels.

        Returns:
            Indices [B, T] of the images in use, blend weights [B, T + 1, 1, S, S] of these images and the plate, which
                sum to 1, and a mask [B, 1, S, S], 1 where these images show only heads.
        """
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


def blend_backgrounds(images: Tensor, plate: Tensor, use: Tensor, shares: Tensor) -> Tensor:
    """Returns the background behind the heads, [B, 3, R, R].

    Args:
        images: [K, 3, R, R], -1 to 1, the source images.
        plate: [3, R, R], -1 to 1, their clean plate.
        use: [B, T], indices of the images in use, from `BackgroundModel.render`.
        shares: [B, T + 1, 1, S, S], blend weights, from `BackgroundModel.render`.
    """
    sized = resize(shares.flatten(0, 1), images.shape[-1]).unflatten(0, shares.shape[:2])
    result = plate * sized[:, -1]
    for place in range(use.shape[1]):
        shown = images[use[:, place]] if len(images) > 1 else images  # no copies of a lone one
        result = result + shown * sized[:, place]
    return result
