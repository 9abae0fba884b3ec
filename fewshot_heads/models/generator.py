"""The realtime generator: what the warp cannot do.

Three layers make a frame: what stands still (the background), the source carried by the landmarks
(the person), and new paint (an opening mouth, eyelids, a cheek the turn uncovers). The network sees all it
needs to judge, and answers with a correction of the flow, the paint, and how much of each layer shows where.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.imaging import warping as warp
from fewshot_heads.models.blocks import AdaResBlock, Down, conv
from fewshot_heads.models.compositing import Layers, WarpInputs

_DISTRUST = 30.0  # logits taken from still and carried pixels where something opened: more than the net can give back
_MAX_CORRECTION = 0.3  # of the flow, in units of half the picture


def _smooth(maps: Tensor) -> Tensor:
    """The binomial 3x3 filter: what it takes away whole is the pattern of two pixels that pixel_shuffle may leave."""
    # Contiguous, or torch.compile stops at this padding's backward. On a CPU slices are ten times as fast as a pooling.
    wide = F.pad(maps.contiguous(), (1, 1, 1, 1), mode="replicate")
    across = wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]
    return (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 16


class Generator(nn.Module):
    """AdaIN U-Net over the carried texture; 256 x 256 at 3.3 GFLOP a frame.

    channels: at 1/2, 1/4, 1/8 and 1/16 of the picture; embedding: length of e_hat.
    """

    textured = True  # takes a `WarpInputs`

    def __init__(self, channels: tuple[int, ...] = (16, 48, 96, 160), embedding: int = 256, size: int = 256):
        super().__init__()
        self.size = size
        inputs = 3 * 3 * 4 + 3  # still, carried and stickman at half size, flow and its stretch
        self.stem = conv(inputs, channels[0])
        self.down = nn.ModuleList(Down(a, b) for a, b in zip(channels, channels[1:], strict=False))
        self.bottom = nn.ModuleList(AdaResBlock(channels[-1], channels[-1]) for _ in range(2))
        coarse_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.narrow = nn.ModuleList(conv(a, b, 1) for a, b in coarse_to_fine)
        self.up = nn.ModuleList(AdaResBlock(2 * b, b) for _, b in coarse_to_fine)
        self.head = conv(channels[0], 4 * (3 + 3) + 2)
        self.project = nn.Linear(embedding, sum(block.style_size for block in self._styled))
        self._start_as_the_bare_warp()

    @property
    def _styled(self) -> list[AdaResBlock]:
        return [block for block in (*self.bottom, *self.up) if isinstance(block, AdaResBlock)]

    def _start_as_the_bare_warp(self) -> None:
        nn.init.normal_(self.project.weight, std=0.01)
        with torch.no_grad():
            scale_shift = []
            for block in self._styled:
                for width in block.channels:
                    scale_shift += [torch.ones(width), torch.zeros(width)]
            self.project.bias.copy_(torch.cat(scale_shift))
            self.head.weight.mul_(0.1)
            shares = torch.tensor([0.0, 2.0, -1.0]).repeat_interleave(4)  # still, carried, paint
            self.head.bias = nn.Parameter(torch.cat([torch.zeros(12), shares, torch.zeros(2)]))

    def forward(self, stickman: Tensor, style: Tensor, texture: WarpInputs | None) -> Tensor:
        """stickman [B, 3, S, S], style [B, P] from `project(e_hat)`; returns the frame [B, 3, S, S] in [-1, 1].

        Without a texture the whole frame is painted from the style.
        """
        if texture is not None:
            return self.layers(stickman, style, texture).composite(texture)
        nothing = stickman.new_zeros(stickman.shape[0], 6, self.size, self.size)
        hint = stickman.new_zeros(stickman.shape[0], 3, self.size // 2, self.size // 2)
        return _smooth(torch.tanh(self._decide(torch.cat([nothing, stickman], 1), hint, style)[0][:, :3]))

    def layers(self, stickman: Tensor, style: Tensor, texture: WarpInputs) -> Layers:
        """What the frame is made of; `compose_config` puts it together."""
        flows = texture.resized_flows(self.size)
        pictures = torch.cat([texture.background, texture.warped(flows), stickman], 1)
        detail, correction = self._decide(pictures, self._hint(texture), style)
        # What has just opened is in no source pixel: leave it to the paint.
        trust = F.pad(-_DISTRUST * texture.disocclusion.expand(-1, 2, -1, -1), (0, 0, 0, 0, 0, 1))
        still, carried, painted = (_smooth(detail[:, 3:]) + trust).softmax(1).split(1, 1)
        # No background shows through a head, and none goes along with it where another is seen.
        person = texture.person(flows)
        to_carried = still * (1 - (1 - texture.head_mask * person) * (1 - texture.background_unknown))
        to_still = carried * (1 - person) * (1 - texture.background_unknown)
        moved = to_carried - to_still
        shares = torch.cat([still - moved, carried + moved, painted], 1)
        return Layers(_smooth(torch.tanh(detail[:, :3])), shares, flows + correction[:, None])

    def _hint(self, texture: WarpInputs) -> Tensor:
        """[B, 3, S/2, S/2]: displacement and stretch of the heaviest picture's flow."""
        first = texture.weights.argmax(1)
        flow = texture.flows[torch.arange(len(first), device=first.device), first]
        displacement = (flow - warp.identity_grid(flow.shape[1], flow)).permute(0, 3, 1, 2)
        hint = torch.cat([10 * displacement, warp.log_area_change(flow)], 1)
        return F.interpolate(hint, size=(self.size // 2, self.size // 2), mode="bilinear", align_corners=False)

    def _decide(self, pictures: Tensor, hint: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Paint and mask logits [B, 6, S, S]; flow correction [B, S, S, 2]."""
        x = self.stem(torch.cat([F.pixel_unshuffle(pictures, 2), hint], 1))
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
        x = self.head(F.relu(x))
        correction = _MAX_CORRECTION * torch.tanh(x[:, 24:] / 3)
        correction = F.interpolate(correction, size=(self.size, self.size), mode="bilinear", align_corners=False)
        return F.pixel_shuffle(x[:, :24], 2), correction.permute(0, 2, 3, 1)
