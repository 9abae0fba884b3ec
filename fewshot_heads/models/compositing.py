"""Warps source images along flows and composites a frame from layers."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging.warping import log_area_change, resize_flow, sample

# Where the warp doubles or halves the area of an image, the weight of the image falls by this many e-foldings.
_WEIGHT_LOSS_PER_AREA_DOUBLING = 5.0
_MIN_IMAGE_WEIGHT = 1e-9  # keeps the logarithm of a weight finite


class WarpInputs(NamedTuple):
    """The source pixels from which a frame is made: T source images and the background.

    S is the side of the generator's crop, W = crop_ratio * S. The images may have a higher resolution.

    Attributes:
        images: [B, T, 3, W, W], -1 to 1, source images in use. They are mirrored beyond their edges.
        alpha_mattes: [B, T, 1, W, W], 0 to 1, the person in the images (`person_matte`).
        flows: [B, T, s, s, 2], positions in the crop of each image, -1 to 1 (`tps_flow_from_landmarks`).
        weights: [B, T], 0 to 1, weight of each image. Rows sum to 1.
        background: [B, 3, S, S], -1 to 1, the background behind the head. Heads remain only where the next two masks
            are 1.
        disocclusion: [B, 1, S, S], 1 where a mouth or eye opens that is closed in the source (`disocclusion_mask`).
        head_mask: [B, 1, S, S], 1 where the driver's head occludes the background (`head_occlusion_mask`).
        background_unknown: [B, 1, S, S], 1 where no source image shows the background (`BackgroundModel.render`).
        crop_ratio: side of the images, in crops.
    """

    images: Tensor
    alpha_mattes: Tensor
    flows: Tensor
    weights: Tensor
    background: Tensor
    disocclusion: Tensor
    head_mask: Tensor
    background_unknown: Tensor
    crop_ratio: float = 1.0

    def warped(self, flows: Tensor) -> Tensor:
        """Returns the warped source image, the weighted sum over T, [B, 3, h, w].

        Args:
            flows: [B, T, h, w, 2], positions in the crops, -1 to 1.
        """
        return self._warp(flows, self.images)

    def person(self, flows: Tensor) -> Tensor:
        """Returns the warped person matte, the weighted sum over T, [B, 1, h, w], 0 to 1.

        Args:
            flows: [B, T, h, w, 2], positions in the crops, -1 to 1.
        """
        return self._warp(flows, self.alpha_mattes)

    def _warp(self, flows: Tensor, images: Tensor) -> Tensor:
        """Returns the weighted sum [B, C, h, w] of images [B, T, C, W, W] along flows [B, T, h, w, 2]."""
        batch, count = flows.shape[:2]
        warped = sample(images.flatten(0, 1), flows.flatten(0, 1) / self.crop_ratio)
        return (warped.unflatten(0, (batch, count)) * self._pixel_weights(flows.shape[2])).sum(1)

    def _pixel_weights(self, size: int) -> Tensor:
        """Returns the weight of each image at each pixel, [B, T, 1, size, size], or [B, 1, 1, 1, 1] for T = 1.

        An image has less weight where the warp stretches or compresses it.
        """
        if self.weights.shape[1] == 1:
            return self.weights[:, :, None, None, None]
        distortion = log_area_change(self.flows.flatten(0, 1)).abs()
        distortion = F.avg_pool2d(distortion, 5, 1, 2, count_include_pad=False).unflatten(0, self.weights.shape)
        log_weights = self.weights.clamp_min(_MIN_IMAGE_WEIGHT).log()[:, :, None, None, None]
        pixel_weights = (log_weights - _WEIGHT_LOSS_PER_AREA_DOUBLING * distortion).softmax(1)
        pixel_weights = F.interpolate(pixel_weights.flatten(0, 1), (size, size), mode="bilinear")
        return pixel_weights.unflatten(0, self.weights.shape)

    def resized_flows(self, size: int) -> Tensor:
        """Returns the flows at another resolution, [B, T, size, size, 2].

        Args:
            size: side of the new grid, positions.
        """
        batch, count = self.flows.shape[:2]
        return resize_flow(self.flows.flatten(0, 1), size).unflatten(0, (batch, count))


class Layers(NamedTuple):
    """The generator's output, from which frames of any resolution are composited.

    Attributes:
        synthesized: [B, 3, S, S], -1 to 1, the predicted RGB image.
        blend_weights: [B, 3, S, S], 0 to 1, weights of background, warped source and predicted RGB. They sum to 1.
        flows: [B, T, S, S, 2], -1 to 1, the corrected flow of each source image.
    """

    synthesized: Tensor
    blend_weights: Tensor
    flows: Tensor

    def composite(self, texture: WarpInputs) -> Tensor:
        """Returns the frame [B, 3, R, R], -1 to 1, at the resolution of the texture's background.

        Pixels of the background and of the source are not resampled at S, so a large source stays sharp.

        Args:
            texture: source pixels. R, the side of its background, may differ from S.
        """
        size = texture.background.shape[-1]
        rgb, weights, flows = self.synthesized, self.blend_weights, self.flows
        if size != rgb.shape[-1]:
            maps = F.interpolate(torch.cat([rgb, weights], 1), size=(size, size), mode="bilinear", align_corners=False)
            rgb, weights = maps[:, :3], maps[:, 3:]
            flows = resize_flow(flows.flatten(0, 1), size).unflatten(0, flows.shape[:2])
        background, warped, synthesized = weights.split(1, 1)
        return background * texture.background + warped * texture.warped(flows) + synthesized * rgb
