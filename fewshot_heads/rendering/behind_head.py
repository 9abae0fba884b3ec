"""Body and background, over which the head is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from fewshot_heads.imaging.convert import to_float
from fewshot_heads.imaging.matting import least_alpha
from fewshot_heads.imaging.warping import grid_positions, sample
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import NECK, NECK_TOP, Pose, fit_pose, turn_between, view_turn
from fewshot_heads.layers.plates import disk
from fewshot_heads.layers.separation import MIN_ALPHA, SILHOUETTE_SHARE

# [1, 3], head units, the upper end of the axis about which heads turn. A neck so stays upright when its head turns, and
# leans when its head rolls.
_AXIS_TOP = np.array([[NECK[0, 0], NECK_TOP[0, 1], NECK[0, 2]]])
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


def rgba_layers(images: np.ndarray) -> np.ndarray:
    """Returns RGBA images as layers, float32 [K, 4, R, R]: colors from -1 to 1, alpha from 0 to 1.

    Args:
        images: uint8 [K, R, R, 4].
    """
    return np.concatenate([to_float(images[..., :3]), images[:, None, ..., 3].astype(np.float32) / 255], 1)


class BehindHead:
    """Body and background, over which the head is drawn.

    Args:
        body: float32 [4, R, R], colors from -1 to 1 and alpha from 0 to 1.
        background: float32 [3, R, R], -1 to 1.
        continues: whether the image goes on below the crop. The body's lower end then stands still.
        shown: [4, R, R], the body as the source image shows it, see `shown_body`. The rest of the body is a guess,
            which appears when the head turns. None shows all of it.
    """

    def __init__(
        self, body: np.ndarray, background: np.ndarray, continues: bool = False, shown: np.ndarray | None = None
    ):
        self.body, self.background = body, background
        self._guessed = _colors_and_alpha(body)
        self._shown = self._guessed if shown is None else _colors_and_alpha(shown)
        self._end_share = 0.0 if continues else _FREE_END_SHARE
        self.still = _lerp(background, *self._shown)

    def follow(self, sources: Sequence[Landmarks], targets: Sequence[Landmarks], size: int) -> np.ndarray:
        """Returns the body, bent after the neck, over the background, float32 [B, 3, R, R].

        The top of the neck is fixed to the skull, so a neck leans with its head. Its base moves when a head sways, and
        the body's lower end by less or not at all.

        Args:
            sources: B faces, or one for all, as in the layers' image, pixels of the crop.
            targets: B faces of the frames, pixels of the crop.
            size: side S of the crop, pixels.
        """
        flow = body_flow(sources, targets, size, self.body.shape[-1], self._end_share)
        guessed = np.array([guessed_share(*pair) for pair in _pairs(sources, targets)], np.float32)
        if flow is None and not guessed.any():
            return np.broadcast_to(self.still, (len(targets), *self.still.shape[1:]))
        colors, alpha = (
            _lerp(shown, guess, guessed[:, None, None, None])
            for shown, guess in zip(self._shown, self._guessed, strict=True)
        )
        if flow is not None:
            # Beyond the image the outline goes straight on. Colors that do are streaks.
            colors, alpha = sample(colors, flow, "reflection"), sample(alpha, flow, "border")
        return _lerp(self.background, colors, alpha)


def _lerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Returns what lies between two arrays, at a share of the way."""
    result = (end - start) * share
    result += start
    return result


def _colors_and_alpha(layer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the colors [1, 3, R, R], channels last in memory as `sample` needs, and the alpha [1, 1, R, R]."""
    colors = np.ascontiguousarray(layer[:3].transpose(1, 2, 0)).transpose(2, 0, 1)
    return colors[None], np.ascontiguousarray(layer[None, 3:])


def guessed_share(source: Pose, target: Pose) -> float:
    """Returns how much is shown of what no image shows behind a head, 0 to 1: nothing near the source's pose."""
    return min(max((view_turn(source, target) - _SHOWN_TURN) / (_GUESSED_TURN - _SHOWN_TURN), 0.0), 1.0)


def shown_body(image: np.ndarray, head: np.ndarray, body: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Returns the body as an image shows it, float32 [4, R, R]: its own colors, and hardly more than its opacity.

    Both solve the compositing equation: the opacity where the body and the background differ and the head does not hide
    both, then the colors where the head hides nothing. There, the body has its own silhouette too.

    Args:
        image: [3, R, R], -1 to 1.
        head: [4, R, R], colors from -1 to 1 and alpha from 0 to 1, like the body.
        body: [4, R, R].
        background: [3, R, R].
    """
    hidden, alpha = head[3:], body[3:]
    behind = (image - hidden * head[:3]) / np.maximum(1 - hidden, 1 - _HIDING) - background
    difference = body[:3] - background
    power = np.square(difference).sum(0, keepdims=True)
    shown = (behind * difference).sum(0, keepdims=True) / np.maximum(power, _MIN_POWER)
    shown = np.where((hidden < _HIDING) & (power > _MIN_POWER), np.minimum(np.maximum(shown, 0), alpha), alpha)
    rim = cv2.dilate(alpha[0], disk(SILHOUETTE_SHARE * alpha.shape[-1]))
    at_least = np.minimum(least_alpha(image, background, (-1, 1), axis=0), rim)
    shown = np.where(hidden < MIN_ALPHA, np.maximum(shown, at_least), shown)
    own = (background + (image - background) / np.maximum(shown, MIN_ALPHA)).clip(-1, 1)
    return np.concatenate([_lerp(own, body[:3], np.minimum(hidden / MIN_ALPHA, 1)), shown])


def body_flow(
    sources: Sequence[Landmarks], targets: Sequence[Landmarks], size: int, side: int, end_share: float = 0.0
) -> np.ndarray | None:
    """Returns the flow along which bodies follow their necks, float32 [B, side, side, 2], -1 to 1; None if none moves.

    Args:
        sources: as in `BehindHead.follow`, like targets and size.
        targets: B faces.
        size: side S of the crop, pixels.
        side: of the flow.
        end_share: how far the body's lower end moves, over how far its neck does.
    """
    pairs = _pairs(sources, targets)
    moved = [[_neck_shift(*pair), _shift(_AXIS_TOP, *pair)] for pair in pairs]
    shifts = np.array(moved, np.float32)[:, :, None] * np.float32(2 / size)  # [B, 2, 1, 2], of the neck's base and top
    shifts *= np.linalg.norm(shifts, axis=3, keepdims=True) * side / 2 > _MIN_SHIFT_PIXELS
    if not shifts.any():
        return None
    ends = [[pose.apply(point)[0, 1] * (2 / size) - 1 for point in (NECK, _AXIS_TOP)] for pose, _ in pairs]
    base, top = np.array(ends, np.float32)[:, :, None].swapaxes(0, 1)  # heights, [B, 1]
    grid = grid_positions(side)
    y = grid[None, :, 0, 1]  # [1, side]
    share = ((1 - y) / (1 - np.minimum(base, _LOWEST_NECK))).clip(0, 1)
    share = (end_share + (1 - end_share) * share * share * (3 - 2 * share))[..., None]
    start = base + _LEAN_START * (base - top)
    lean = ((start - y) / np.maximum(start - top, _SHORTEST_NECK)).clip(0, 1)[..., None]
    lean = lean * lean * (3 - 2 * lean)
    of_base, of_top = shifts.swapaxes(0, 1)
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


def resize_antialiased(images: np.ndarray, size: int) -> np.ndarray:
    """Returns images float32 [K, C, R, R] at another size, without aliasing.

    Args:
        images: float32 [K, C, R, R].
        size: new side, pixels.
    """
    if images.shape[-1] == size:
        return images
    planes = map(Image.fromarray, np.concatenate(images))
    resized = [np.asarray(plane.resize((size, size), Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(resized).reshape(*images.shape[:2], size, size)
