"""The generator of the realtime preset, which corrects and completes a composite of layers.

The composite has the turned head over the body and the background. The generator predicts a flow correction of the
head, and a residual: what has to be added to the composite. The residual gives light and shade that a turn changes, and
what the source does not show: an opening mouth, eyelids, or hair and ears that a turn uncovers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.imaging.compositing import Correction, WarpInputs, correct
from fewshot_heads.models.blocks import AdaResBlock, Down, conv

_MAX_FLOW_CORRECTION_HALF_CROPS = 0.1
_INITIAL_HEAD_SCALE = 0.1  # a new network shows nearly the composite
_LEAK = 0.2  # before the last layer, whose inputs would die with a plain ReLU


class Generator(nn.Module):
    """An AdaIN U-Net over stickman, composite and background at half of the crop's resolution, 0.8 GFLOP a frame.

    Args:
        channels: at 1/4, 1/8, 1/16 and 1/32 of the crop's resolution.
        embedding: length E of e_hat.
        size: side S of the frames, pixels.
    """

    textured = True  # the network takes a `WarpInputs`

    def __init__(self, channels: tuple[int, ...] = (16, 48, 96, 160), embedding: int = 256, size: int = 256):
        super().__init__()
        self.size = size
        inputs = 3 * 3 * 4 + 3  # background, composite and stickman, two by two pixels; see `predict`
        self.stem = conv(inputs, channels[0])
        self.down = nn.ModuleList(Down(a, b) for a, b in zip(channels, channels[1:], strict=False))
        self.bottom = nn.ModuleList(AdaResBlock(channels[-1], channels[-1]) for _ in range(2))
        coarse_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.narrow = nn.ModuleList(conv(a, b, 1) for a, b in coarse_to_fine)
        self.up = nn.ModuleList(AdaResBlock(2 * b, b) for _, b in coarse_to_fine)
        self.head = conv(channels[0], 4 * 3 + 2)
        self.project = nn.Linear(embedding, sum(block.style_size for block in self._styled))
        if not self.project.weight.is_meta:  # without values, filling in some imports torch's compiler: a second
            self._initialize_as_composite()

    @property
    def _styled(self) -> list[AdaResBlock]:
        """The blocks that a style controls, in the order of the style vector."""
        return [block for block in (*self.bottom, *self.up) if isinstance(block, AdaResBlock)]

    def _initialize_as_composite(self) -> None:
        """Initializes projection and head so that the frame starts as the composite."""
        nn.init.normal_(self.project.weight, std=0.01)
        with torch.no_grad():
            # Not zero: the trunk's gradients would begin at zero, and Adam makes steps of full size even of noise.
            for parameter in self.head.parameters():
                parameter.mul_(_INITIAL_HEAD_SCALE)
            scale_shift = []
            for block in self._styled:
                for width in block.channels:
                    scale_shift += [torch.ones(width), torch.zeros(width)]
            self.project.bias.copy_(torch.cat(scale_shift))

    def forward(self, stickman: Tensor, style: Tensor, texture: WarpInputs) -> Tensor:
        """Returns the frame [B, 3, S, S], about -1 to 1.

        Args:
            stickman: [B, 3, S, S], -1 to 1, landmarks of the frame.
            style: [B, P], `project(e_hat)`.
            texture: source pixels.
        """
        return self.correct(stickman, style, texture).composite(texture)

    def correct(self, stickman: Tensor, style: Tensor, texture: WarpInputs) -> Correction:
        """Returns the correction of the composite, with which `Correction.composite` makes the frame.

        Args:
            stickman: [B, 3, S, S], -1 to 1, landmarks of the frame.
            style: [B, P], `project(e_hat)`.
            texture: source pixels.
        """
        return correct(self.predict, stickman, style, texture)

    def predict(self, images: Tensor, hint: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the residual [B, 3, h, h], and the flow correction [B, h, h, 2]; h is S/2.

        Args:
            images: [B, 9, h, h], background, composite and stickman.
            hint: [B, 3, h/2, h/2], the head's alpha, confidence and disocclusion.
            style: [B, P].
        """
        x = self.stem(torch.cat([F.pixel_unshuffle(images, 2), hint], 1))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        styles = iter(style.split([block.style_size for block in self._styled], dim=1))
        for block in self.bottom:
            x = block(x, next(styles))
        for narrow, up in zip(self.narrow, self.up, strict=True):
            x = F.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = up(torch.cat([x, skips.pop()], 1), next(styles))
        x = self.head(F.leaky_relu(x, _LEAK))
        correction = _MAX_FLOW_CORRECTION_HALF_CROPS * torch.tanh(x[:, 12:] / 3)
        correction = F.interpolate(correction, scale_factor=2, mode="bilinear", align_corners=False)
        return F.pixel_shuffle(x[:, :12], 2), correction.permute(0, 2, 3, 1)
