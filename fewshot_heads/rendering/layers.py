"""Separates a portrait into three layers: head, body and background.

The colors of a layer are those that give the image again (the compositing equation of Porter and Duff, 1984, solved
for the foreground). A head that does not move is therefore its picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.imaging.warping import identity_grid, sample
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import NECK, fit_pose, landmarks_3d
from fewshot_heads.rendering.parsing import Mattes, parse
from fewshot_heads.rendering.plates import background_plate, body_layer

_MIN_ALPHA = 0.1  # where it divides: fainter wisps keep some of the old background
_FACE_BLUR_FACE_FRACTION = 0.01
_SEAM_HEAD_UNITS = 0.1
_LOWEST_NECK = 0.9  # half crops from the crop's center: a neck at the border would bend at once
_MIN_SHIFT_PIXELS = 0.25  # a body that moves by less stands still


class PortraitLayers(NamedTuple):
    """The layers of one image, uint8; each is complete behind the one before.

    Attributes:
        head: [R, R, 4], RGB and alpha of face, ears, hair and hat.
        body: [R, R, 4], RGB and alpha of neck, shoulders and clothes.
        background: [R, R, 3].
    """

    head: np.ndarray
    body: np.ndarray
    background: np.ndarray


def separate(image: np.ndarray, face: Landmarks) -> PortraitLayers:
    """Returns the layers of a portrait. Composited, they are the image.

    Args:
        image: uint8 RGB [R, R, 3].
        face: landmarks, pixels of the image.
    """
    person, head = _mattes(image, face)
    background = background_plate(image, person)
    body, body_alpha = body_layer(image, person, head, face)
    head = _feathered(head, person, _SEAM_HEAD_UNITS * fit_pose(face).scale)
    body = np.where((head > _MIN_ALPHA)[..., None], body, _colors_over(image, body_alpha, background))
    behind = background + body_alpha[..., None] * (body - background.astype(np.float32))
    head_layer = _with_alpha(_colors_over(image, head, behind), head)
    return PortraitLayers(head_layer, _with_alpha(body, body_alpha), background)


def _mattes(image: np.ndarray, face: Landmarks) -> Mattes:
    """Returns the mattes of one person: the face is head, and what is not connected to it is not."""
    person, head = parse(image)
    outline = soft_hull(landmarks_3d(face)[:, :2], len(image), blur=_FACE_BLUR_FACE_FRACTION * face.size)
    head = np.maximum(head, outline)
    _, parts = cv2.connectedComponents((head > 0.5).astype(np.uint8))
    faces = np.bincount(parts[(outline > 0.5) & (parts > 0)].ravel(), minlength=1)
    own = cv2.dilate((parts == faces.argmax()).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    head = np.where(own, head, 0)
    return Mattes(np.maximum(person, head), head)


def _feathered(head: np.ndarray, person: np.ndarray, width: float) -> np.ndarray:
    """Returns the head's matte [R, R] with a soft seam on the body, so that the shadow under a chin goes with it.

    Args:
        head: float32 [R, R], 0 to 1.
        person: float32 [R, R], 0 to 1.
        width: of the seam, pixels.
    """
    distance = cv2.distanceTransform((head < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    share = (1 - distance / max(width, 1)).clip(0, 1)
    return np.maximum(head, share * share * (3 - 2 * share) * person)


def _colors_over(image: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Returns colors [R, R, 3] that give the image when they are composited over what is behind.

    Args:
        image: uint8 [R, R, 3].
        alpha: [R, R], 0 to 1.
        behind: [R, R, 3], 0 to 255.
    """
    difference = image - behind.astype(np.float32)
    return (behind + difference / alpha.clip(_MIN_ALPHA, 1)[..., None]).clip(0, 255)


def _with_alpha(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns uint8 [R, R, 4] of colors [R, R, 3], 0 to 255, and alpha [R, R], 0 to 1."""
    return np.dstack([colors, 255 * alpha]).round().clip(0, 255).astype(np.uint8)


def rgba_tensor(images: np.ndarray) -> Tensor:
    """Returns RGBA images as a tensor [K, 4, R, R]: colors from -1 to 1, alpha from 0 to 1.

    Args:
        images: uint8 [K, R, R, 4].
    """
    colors = to_tensor(np.ascontiguousarray(images[..., :3]))
    return torch.cat([colors, torch.from_numpy(images[:, None, ..., 3]).float() / 255], 1)


class BehindHead:
    """Body and background, over which the head is drawn.

    Args:
        body: [4, R, R], colors from -1 to 1 and alpha from 0 to 1.
        background: [3, R, R], -1 to 1.
    """

    def __init__(self, body: Tensor, background: Tensor):
        self.body, self.background = body, background
        self.still = self._over(body[None])

    def _over(self, body: Tensor) -> Tensor:
        """Returns bodies [B, 4, R, R] over the background, [B, 3, R, R]."""
        return self.background + body[:, 3:] * (body[:, :3] - self.background)

    def follow(self, sources: Sequence[Landmarks], targets: Sequence[Landmarks], size: int) -> Tensor:
        """Returns the body, bent after the neck, over the background, [B, 3, R, R].

        The neck moves with the head, the lower border of the crop does not.

        Args:
            sources: B faces, or one for all, as in the layers' image, pixels of the crop.
            targets: B faces of the frames, pixels of the crop.
            size: side S of the crop, pixels.
        """
        before, after = (
            np.stack([fit_pose(face).apply(NECK)[0, :2] for face in faces]) for faces in (sources, targets)
        )
        shifts = torch.from_numpy((after - before) * (2 / size)).to(self.body)  # [B, 2], half crops
        heights = torch.from_numpy(before[:, 1] * (2 / size) - 1).to(self.body).expand(len(shifts))
        side = self.body.shape[-1]
        if float(shifts.abs().max()) * side / 2 < _MIN_SHIFT_PIXELS:
            return self.still.expand(len(shifts), -1, -1, -1)
        grid = identity_grid(side, self.body)
        below_neck = (1 - grid[..., 1]) / (1 - heights.clamp(max=_LOWEST_NECK))[:, None, None]
        share = below_neck.clamp(0, 1)
        share = share * share * (3 - 2 * share)
        flow = grid - share[..., None] * shifts[:, None, None]
        return self._over(sample(self.body[None].expand(len(shifts), -1, -1, -1), flow))


def resize_antialiased(images: Tensor, size: int) -> Tensor:
    """Returns images [K, C, R, R] at another size, without aliasing.

    Args:
        images: [K, C, R, R].
        size: new side, pixels.
    """
    if images.shape[-1] == size:
        return images
    return torch.nn.functional.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
