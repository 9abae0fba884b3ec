"""Warps the head layers of source images and composites a frame from layers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fewshot_heads.imaging.warping import resize, resize_flow, sample


class WarpInputs(NamedTuple):
    """The source pixels from which a frame is made: V views of the head, and what is behind the head.

    A view is the head layer of a source image or its mirror image. S is the side of the generator's crop. The images
    may have a higher resolution R. Flows and weights have the side s.

    Attributes:
        images: [B, V, 4, R, R], head layers: colors from -1 to 1, then the alpha matte from 0 to 1.
        flows: [B, V, s, s, 2], positions in the views, -1 to 1 (`rendering.head_surface`).
        weights: [B, V, s, s], 0 to 1, weight of each view. They sum to 1 where the head is, to 0 where it is not.
        confidence: [B, 1, s, s], 0 to 1, the sharpness of what the views contribute.
        background: [B, 3, R, R], -1 to 1, body and background, complete behind the head.
        disocclusion: [B, 1, S, S], 1 where a mouth or eye opens that is closed in the source (`disocclusion_mask`).
    """

    images: Tensor
    flows: Tensor
    weights: Tensor
    confidence: Tensor
    background: Tensor
    disocclusion: Tensor

    def without_unseen(self) -> WarpInputs:
        """Returns the inputs without the last views, if no frame shows them: most often that is the mirror image."""
        seen = self.weights.flatten(2).any(2).any(0).nonzero()[:, 0]
        count = int(seen[-1]) + 1 if len(seen) else 1
        return self._replace(
            images=self.images[:, :count], flows=self.flows[:, :count], weights=self.weights[:, :count]
        )

    def head(self, flows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the warped head with premultiplied colors [B, 3, h, h], -1 to 1, and its alpha [B, 1, h, h].

        Args:
            flows: [B, V, h, h, 2], positions in the views, -1 to 1.
        """
        weights = resize(self.weights, flows.shape[2])
        colors = alpha = flows.new_zeros(())
        for view in range(flows.shape[1]):  # one after another: images that frames share are not copied for each
            warped = sample(self.images[:, view], flows[:, view])
            opacity = warped[:, 3:] * weights[:, view, None]
            colors, alpha = torch.addcmul(colors, warped[:, :3], opacity), alpha + opacity
        return colors, alpha

    def composite(self, flows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the head over body and background [B, 3, h, h], -1 to 1, and the head's alpha [B, 1, h, h].

        Args:
            flows: [B, V, h, h, 2], positions in the views, -1 to 1.
        """
        colors, alpha = self.head(flows)
        behind = resize(self.background, flows.shape[2])
        return colors + behind * (1 - alpha), alpha

    def resized_flows(self, size: int) -> Tensor:
        """Returns the flows at another resolution, [B, V, size, size, 2].

        Args:
            size: side of the new grid, positions.
        """
        return _resize_flows(self.flows, size)


def _resize_flows(flows: Tensor, size: int) -> Tensor:
    return resize_flow(flows.flatten(0, 1), size).view(*flows.shape[:2], size, size, 2)


class Correction(NamedTuple):
    """The generator's output, with which frames of any resolution are composited.

    Attributes:
        residual: [B, 3, S, S], what is added to the composite.
        flows: [B, V, S, S, 2], -1 to 1, the corrected flow of each view.
    """

    residual: Tensor
    flows: Tensor

    def colored(self, color_matrix: Tensor) -> Correction:
        """Returns the correction in the colors of a source image.

        Args:
            color_matrix: [3, 3], from neutral colors to those of the source image.
        """
        return self._replace(residual=torch.einsum("ij,bjhw->bihw", color_matrix, self.residual))

    def composite(self, texture: WarpInputs) -> Tensor:
        """Returns the frame [B, 3, R, R], about -1 to 1, at the resolution of the texture's background.

        Pixels of the source are not resampled at S, so a large source stays sharp.

        Args:
            texture: source pixels. R, the side of its background, may differ from S.
        """
        size = texture.background.shape[-1]
        composite, _ = texture.composite(_resize_flows(self.flows, size))
        return composite + resize(self.residual, size)
