"""Warps the head layers of source images and composites a frame from layers; of arrays or of tensors.

`imaging.warping` says which are used where.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.imaging import opencv_maps
from fewshot_heads.imaging.warping import resize, resize_flow, sample

Maps = Any  # an array or a tensor
Predict = Callable[[Maps, Maps, Maps], tuple[Maps, ...]]  # see `models.generator.Generator.predict`


class WarpInputs(NamedTuple):
    """The source pixels from which a frame is made: V views of the head, and what is behind the head.

    A view is the head layer of a source image or its mirror image. S is the side of the generator's crop. The images
    may have another resolution R. Flows and weights have the side s.

    Attributes:
        images: [B, V, 4, R, R], head layers: colors from -1 to 1, then the alpha matte from 0 to 1.
        flows: [B, V, s, s, 2], positions in the views, -1 to 1 (`rendering.head_surface`).
        weights: [B, V, s, s], 0 to 1, weight of each view. They sum to 1 where the head is, to 0 where it is not.
        confidence: [B, 1, s, s], 0 to 1, the sharpness of what the views contribute.
        background: [B, 3, R, R], -1 to 1, body and background, complete behind the head.
        disocclusion: [B, 1, S, S], 1 where a mouth or eye opens that is closed in the source (`disocclusion_mask`).
    """

    images: Maps
    flows: Maps
    weights: Maps
    confidence: Maps
    background: Maps
    disocclusion: Maps

    def without_unseen(self) -> WarpInputs:
        """Returns the inputs, which are arrays, without the last views if no frame shows them.

        Most often that is the mirror image.
        """
        seen = np.flatnonzero(self.weights.any((0, 2, 3)))
        count = int(seen[-1]) + 1 if len(seen) else 1
        return self._replace(
            images=self.images[:, :count], flows=self.flows[:, :count], weights=self.weights[:, :count]
        )

    def head(self, flows: Maps) -> tuple[Maps, Maps]:
        """Returns the warped head with premultiplied colors [B, 3, h, h], -1 to 1, and its alpha [B, 1, h, h].

        Args:
            flows: [B, V, h, h, 2], positions in the views, -1 to 1.
        """
        weights = _resize_views(self.weights, flows.shape[2])
        colors = alpha = 0.0
        for view in range(flows.shape[1]):  # one after another: images that frames share are not copied for each
            warped = sample(self.images[:, view], flows[:, view])
            opacity = warped[:, 3:] * weights[:, view, None]
            colors, alpha = colors + warped[:, :3] * opacity, alpha + opacity
        return colors, alpha

    def composite(self, flows: Maps) -> tuple[Maps, Maps]:
        """Returns the head over body and background [B, 3, h, h], -1 to 1, and the head's alpha [B, 1, h, h].

        Args:
            flows: [B, V, h, h, 2], positions in the views, -1 to 1.
        """
        colors, alpha = self.head(flows)
        behind = resize(self.background, flows.shape[2])
        return colors + behind * (1 - alpha), alpha

    def resized_flows(self, size: int) -> Maps:
        """Returns the flows at another resolution, [B, V, size, size, 2].

        Args:
            size: side of the new grid, positions.
        """
        return _resize_flows(self.flows, size)


def _resize_views(weights: Maps, size: int) -> Maps:
    """Returns maps of V views at another resolution, [B, V, size, size]."""
    batch, views, side = weights.shape[:3]
    return resize(weights.reshape(batch * views, 1, side, side), size).reshape(batch, views, size, size)


def _resize_images(images: Maps, size: int) -> Maps:
    """Returns images of V views at another resolution, [B, V, 4, size, size]."""
    if images.shape[-1] == size:  # frames that share their images do not copy them
        return images
    batch, views, channels, side = images.shape[:4]
    return resize(images.reshape(batch * views, channels, side, side), size).reshape(batch, views, channels, size, size)


def _resize_flows(flows: Maps, size: int) -> Maps:
    batch, views, side = flows.shape[:3]
    return resize_flow(flows.reshape(batch * views, side, side, 2), size).reshape(batch, views, size, size, 2)


class Correction(NamedTuple):
    """The generator's output, with which frames of any resolution are composited.

    Attributes:
        residual: [B, 3, S/2, S/2], what is added to the composite.
        flows: [B, V, S/2, S/2, 2], -1 to 1, the corrected flow of each view.
    """

    residual: Maps
    flows: Maps

    def colored(self, color_matrix: Maps) -> Correction:
        """Returns the correction in the colors of a source image.

        Args:
            color_matrix: [3, 3], from neutral colors to those of the source image.
        """
        residual = _library(self.residual).einsum("ij,bjhw->bihw", color_matrix, self.residual)
        return self._replace(residual=residual)

    def composite(self, texture: WarpInputs) -> Maps:
        """Returns the frame [B, 3, R, R], about -1 to 1, at the resolution of the texture's background.

        Pixels of the source are not resampled at S, so a large source stays sharp.

        Args:
            texture: source pixels. R, the side of its background, may differ from S.
        """
        size = texture.background.shape[-1]
        composite, _ = texture.composite(_resize_flows(self.flows, size))
        return composite + resize(self.residual, size)


def correct(predict: Predict, stickman: Maps, style: Maps, texture: WarpInputs) -> Correction:
    """Returns a generator's correction of the composite, with which `Correction.composite` makes the frame.

    The network sees half of the crop's resolution. Light, shade and shape, which it corrects, are smooth, and detail
    comes from the source.

    Args:
        predict: the generator's U-Net.
        stickman: [B, 3, S, S], -1 to 1, landmarks of the frame.
        style: [B, P], scales and shifts of AdaIN.
        texture: source pixels.

    Raises:
        BadInput: weights give a flow that is not a number, along which OpenCV would never end.
    """
    size, joined = stickman.shape[-1] // 2, _library(stickman).concatenate
    flows = texture.resized_flows(size)
    composite, alpha = texture._replace(images=_resize_images(texture.images, size)).composite(flows)
    images = joined([resize(texture.background, size), composite, resize(stickman, size)], 1)
    hint = joined([resize(x, size // 2) for x in (alpha, texture.confidence, texture.disocclusion)], 1)
    residual, flow = predict(images, hint, style)
    if isinstance(flow, np.ndarray) and not np.isfinite(flow).all():
        raise BadInput("these weights make no image; take others, or fine-tune the head again")
    return Correction(_smooth(residual), flows + flow[:, None])


def _smooth(maps: Maps) -> Maps:
    """Returns maps [B, C, H, W] after a binomial 3x3 filter.

    The filter removes the two-pixel pattern that pixel_shuffle may leave.
    """
    if isinstance(maps, np.ndarray):
        return opencv_maps.binomial(maps)
    from torch.nn.functional import pad

    # torch.compile fails in this padding's backward unless the maps are contiguous. On a CPU, slices are ten times as
    # fast as a pooling.
    padded = pad(maps.contiguous(), (1, 1, 1, 1), mode="replicate")
    rows = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return (rows[..., :-2, :] + 2 * rows[..., 1:-1, :] + rows[..., 2:, :]) / 16


def _library(maps: Maps) -> Any:
    """Returns numpy for arrays and torch for tensors: both name their functions alike."""
    if isinstance(maps, np.ndarray):
        return np
    import torch

    return torch
