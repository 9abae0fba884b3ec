"""Body and background, over which the head is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.imaging.warping import identity_grid, sample
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import NECK, NECK_TOP, Pose, fit_pose, turn_between, view_turn
from fewshot_heads.layers.separation import MIN_ALPHA

_SHORTEST_NECK = 0.1  # half crops
_LEAN_START = 0.5  # of the neck's length, below its base: the outline bends softly from the shoulders on
_LOWEST_NECK = 0.9  # half crops from the crop's center: a neck at the border would bend at once
# How far the lower end of a body moves over how far its neck does, where the image cuts the body off. On talking heads,
# L1 on the body is .077 for 0, .074 for .5 and .075 for 1.
_FREE_END_SHARE = 0.5
# Errors of the neck's position in head units: of a pose, and of the point about which heads turn. On still bodies the
# position shifts by .02 when the head talks, and by .28 when it turns by 30 degrees.
_POSE_ERROR, _PIVOT_ERROR = 0.04, 0.5
_MIN_SHIFT_PIXELS = 0.25  # a body that moves by less stands still
_SHOWN_TURN, _GUESSED_TURN = 0.05, 0.2  # radians from the source's pose, between which what is guessed appears
_HIDING = 0.9  # opacity of a head from which the image shows nothing behind it
_MIN_POWER = 0.05  # squared difference of colors, whose range is 2; a body and a wall that differ less look the same


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
        continues: whether the image goes on below the crop. The body's lower end then stands still.
        shown: [4, R, R], the body as the source image shows it, see `shown_body`. The rest of the body is a guess,
            which appears when the head turns. None shows all of it.
    """

    def __init__(self, body: Tensor, background: Tensor, continues: bool = False, shown: Tensor | None = None):
        self.body, self.background = body, background
        self._guessed = _colors_and_alpha(body)
        self._shown = self._guessed if shown is None else _colors_and_alpha(shown)
        self._end_share = 0.0 if continues else _FREE_END_SHARE
        self.still = torch.lerp(background, *self._shown)

    def follow(self, sources: Sequence[Landmarks], targets: Sequence[Landmarks], size: int) -> Tensor:
        """Returns the body, bent after the neck, over the background, [B, 3, R, R].

        The top of the neck is fixed to the skull, so a neck leans when a head turns. Its base moves when a head sways,
        and the body's lower end by less or not at all.

        Args:
            sources: B faces, or one for all, as in the layers' image, pixels of the crop.
            targets: B faces of the frames, pixels of the crop.
            size: side S of the crop, pixels.
        """
        flow = body_flow(sources, targets, size, self.body.shape[-1], self._end_share)
        if flow is None:
            return self.still.expand(len(targets), -1, -1, -1)
        guessed = torch.tensor([guessed_share(*pair) for pair in _pairs(sources, targets)]).to(self.body)
        colors, alpha = (
            torch.lerp(shown, guess, guessed[:, None, None, None])
            for shown, guess in zip(self._shown, self._guessed, strict=True)
        )
        # Beyond the image the outline goes straight on. Colors that do are streaks.
        flow = flow.to(self.body)
        return torch.lerp(self.background, sample(colors, flow, "reflection"), sample(alpha, flow, "border"))


def _colors_and_alpha(layer: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the colors [1, 3, R, R], in the order of memory that `sample` needs, and the alpha [1, 1, R, R]."""
    return layer[None, :3].contiguous(memory_format=torch.channels_last), layer[None, 3:].contiguous()


def guessed_share(source: Pose, target: Pose) -> float:
    """Returns how much is shown of what no image shows behind a head, 0 to 1: nothing near the source's pose."""
    return min(max((view_turn(source, target) - _SHOWN_TURN) / (_GUESSED_TURN - _SHOWN_TURN), 0.0), 1.0)


def shown_body(image: Tensor, head: Tensor, body: Tensor, background: Tensor) -> Tensor:
    """Returns the body as an image shows it, [4, R, R]: its own colors, and at most its opacity.

    Both solve the compositing equation: the opacity where the body and the background differ and the head does not hide
    both, then the colors where the head hides nothing.

    Args:
        image: [3, R, R], -1 to 1.
        head: [4, R, R], colors from -1 to 1 and alpha from 0 to 1, like the body.
        body: [4, R, R].
        background: [3, R, R].
    """
    hidden, alpha = head[3:], body[3:]
    behind = (image - hidden * head[:3]) / (1 - hidden).clamp(min=1 - _HIDING) - background
    difference = body[:3] - background
    power = difference.square().sum(0, keepdim=True)
    shown = (behind * difference).sum(0, keepdim=True) / power.clamp(min=_MIN_POWER)
    shown = torch.where((hidden < _HIDING) & (power > _MIN_POWER), shown.clamp(min=0).minimum(alpha), alpha)
    own = (background + (image - background) / shown.clamp(min=MIN_ALPHA)).clamp(-1, 1)
    return torch.cat([torch.lerp(own, body[:3], (hidden / MIN_ALPHA).clamp(max=1)), shown])


def body_flow(
    sources: Sequence[Landmarks], targets: Sequence[Landmarks], size: int, side: int, end_share: float = 0.0
) -> Tensor | None:
    """Returns the flow along which bodies follow their necks, [B, side, side, 2], -1 to 1; None if all stand still.

    Args:
        sources: as in `BehindHead.follow`, like targets and size.
        targets: B faces.
        size: side S of the crop, pixels.
        side: of the flow.
        end_share: how far the body's lower end moves, over how far its neck does.
    """
    pairs = _pairs(sources, targets)
    moved = np.stack([[_neck_shift(*pair), _shift(NECK_TOP, *pair)] for pair in pairs]) * (2 / size)
    shifts = torch.from_numpy(moved).float()[:, :, None]  # [B, 2, 1, 2], of the neck's base and top
    shifts = shifts * (shifts.norm(dim=3, keepdim=True) * side / 2 > _MIN_SHIFT_PIXELS)
    if not shifts.any():
        return None
    ends = [[pose.apply(point)[0, 1] * (2 / size) - 1 for point in (NECK, NECK_TOP)] for pose, _ in pairs]
    base, top = torch.tensor(ends).float()[:, :, None].unbind(1)  # heights, [B, 1]
    grid = identity_grid(side, shifts)
    y = grid[:, :, 0, 1]  # [1, side]
    share = ((1 - y) / (1 - base.clamp(max=_LOWEST_NECK))).clamp(0, 1)
    share = (end_share + (1 - end_share) * share * share * (3 - 2 * share))[..., None]
    start = base + _LEAN_START * (base - top)
    lean = ((start - y) / (start - top).clamp(min=_SHORTEST_NECK)).clamp(0, 1)[..., None]
    lean = lean * lean * (3 - 2 * lean)
    of_base, of_top = shifts.unbind(1)
    return grid - (share * of_base + lean * (of_top - of_base))[:, :, None]


def _pairs(sources: Sequence[Landmarks], targets: Sequence[Landmarks]) -> list[tuple[Pose, Pose]]:
    """Returns the poses of B sources, or of one for all, and of B targets."""
    before = [fit_pose(face) for face in sources]
    return list(zip(before * (len(targets) // len(before)), map(fit_pose, targets), strict=True))


def _neck_shift(source: Pose, target: Pose) -> np.ndarray:
    """Returns how the neck's base moves in the image, [2], pixels.

    A turn moves the point where the base is assumed by as much as the assumption is wrong. The shift is weighed against
    this error as in Wiener's filter: a head that sways takes its body along, a head that talks or turns does not.

    Args:
        source: pose of the head when the body stands still.
        target: pose of the frame.
    """
    shift = _shift(NECK, source, target)
    error = source.scale * np.hypot(_POSE_ERROR, _PIVOT_ERROR * turn_between(source, target))
    power = shift @ shift
    return shift * power / (power + error**2)


def _shift(point: np.ndarray, source: Pose, target: Pose) -> np.ndarray:
    """Returns how a point [1, 3] of the head moves in the image, [2], pixels."""
    return (target.apply(point) - source.apply(point))[0, :2]


def resize_antialiased(images: Tensor, size: int) -> Tensor:
    """Returns images [K, C, R, R] at another size, without aliasing.

    Args:
        images: [K, C, R, R].
        size: new side, pixels.
    """
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
