"""Animates a head with the motion of a sound, and draws a sheet of curves and frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.creative.blending.identity_blend import IdentityBlend
from fewshot_heads.creative.blending.morphing import Morph, render_mixed
from fewshot_heads.driving.covered_mouth import mouth_is_covered
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.head import Head
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.reenactor import Reenactor

_PREVIEW_COLUMNS = 4  # of each of the two rows of frames
_CURVE_PIXELS = 64  # height of a curve
_CURVE_MARGIN_PIXELS = 4
_CURVE_COLORS = ((230, 90, 90), (90, 170, 250), (240, 240, 240), (250, 200, 80), (130, 220, 130), (200, 140, 240))


class IdentityTransition(NamedTuple):
    """A head that turns into another one.

    Attributes:
        toward: the other head.
        shares: float64 [T], share of the other head in each frame, clipped to 0 to 1.
    """

    toward: Head
    shares: np.ndarray


def animated(
    reenactor: Reenactor,
    head: Head,
    motion: Motion,
    transition: IdentityTransition | None = None,
    paste_back: bool = True,
    batch: int = 1,
) -> Iterator[np.ndarray]:
    """Yields T frames of a head; the first of the motion's T + 1 is the reference.

    Args:
        reenactor: the library that made the heads.
        head: the person.
        motion: what `performance.motion_from_audio` returned.
        transition: another head to turn into; None keeps the person.
        paste_back: whether the head goes back into the picture. With a transition the frames are the crop at the
            textures' size instead, because the other head's hair fits no picture.
        batch: frames per call of the generator.
    """
    if transition is None:
        resolution = None if paste_back else reenactor.size
        frames = reenactor.animate(head, motion, reference=0, paste_back=paste_back, batch=batch, resolution=resolution)
        return islice(frames, 1, None)
    driver_faces = motion.cropped(reenactor.size)
    people = [head, transition.toward]
    faces = [
        retarget(
            person.landmarks[0], driver_faces, "relative", reference=0, side=reenactor.size,
            still_mouth=mouth_is_covered(person),
        )[1:]
        for person in people
    ]  # fmt: skip
    shares = np.clip(transition.shares, 0, 1)
    blend = IdentityBlend(reenactor, people, None if paste_back else reenactor.size)
    return render_mixed(blend, faces, shares, np.arange(len(shares)), Morph(batch=batch))


def preview(
    reenactor: Reenactor, head: Head, curves: Mapping[str, np.ndarray], motion: Motion, rate: float,
    transition: IdentityTransition | None = None,
) -> np.ndarray:  # fmt: skip
    """Returns a sheet uint8 [H, W, 3]: curves, frames of quiet moments, frames of loud ones.

    Args:
        reenactor: the library that made the heads.
        head: the person.
        curves: signals [T], see `features.analyse`.
        motion: T + 1 frames, see `performance.motion_from_audio`.
        rate: frames per second.
        transition: another head to turn into; None keeps the person.
    """
    quiet, loud = _peaks(-curves["rms"]), _peaks(curves["rms"])
    indices = quiet + loud
    chosen = Motion([motion.landmarks[i] for i in (0, *(i + 1 for i in indices))], [], [], motion.frame_size)
    chosen.shots.append((0, len(chosen)))
    chosen_transition = transition and transition._replace(shares=transition.shares[indices])
    frames = list(animated(reenactor, head, chosen, chosen_transition, paste_back=False))
    for frame, i in zip(frames, indices, strict=True):
        _write(frame, f"{i / rate:.2f} s", 8)
    width = _PREVIEW_COLUMNS * reenactor.size
    rows = [[_draw_curves(curves, width, quiet, loud)], frames[: len(quiet)], frames[len(quiet) :]]
    return image_grid(rows)


def _peaks(level: np.ndarray) -> list[int]:
    """Returns up to four separate frames where a level [T] is highest, in order of time."""
    free = np.ones(len(level), bool)
    found: list[int] = []
    distance = max(1, len(level) // (4 * _PREVIEW_COLUMNS))
    while free.any() and len(found) < _PREVIEW_COLUMNS:
        peak = int(np.where(free, level, -np.inf).argmax())
        found.append(peak)
        free[max(0, peak - distance) : peak + distance + 1] = False
    return sorted(found)


def _draw_curves(curves: Mapping[str, np.ndarray], width: int, quiet: list[int], loud: list[int]) -> np.ndarray:
    """Returns a chart uint8 [rows, width, 3] of curves below each other, with lines at the frames shown."""
    chart = np.full((_CURVE_PIXELS * len(curves), width, 3), 24, np.uint8)
    last = max(1, len(next(iter(curves.values()))) - 1)
    for frames, gray in ((quiet, 80), (loud, 150)):
        for i in frames:
            x = round(i / last * (width - 1))
            cv2.line(chart, (x, 0), (x, len(chart)), (gray, gray, gray))
    for row, ((name, curve), color) in enumerate(zip(curves.items(), _CURVE_COLORS, strict=True)):
        heights = np.interp(np.linspace(0, last, width), np.arange(len(curve)), curve)
        y = (row + 1) * _CURVE_PIXELS - _CURVE_MARGIN_PIXELS - heights * (_CURVE_PIXELS - 2 * _CURVE_MARGIN_PIXELS)
        points = np.stack([np.arange(width), y], axis=1)
        cv2.polylines(chart, [points.round().astype(np.int32)], False, color, 1, cv2.LINE_AA)
        _write(chart, name, row * _CURVE_PIXELS)
    return chart


def _write(image: np.ndarray, text: str, top: int) -> None:
    """Writes white text with a black shadow into an image, in place."""
    for gray, shift in ((0, 1), (255, 0)):
        corner = (6 + shift, top + 14 + shift)
        cv2.putText(image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (gray, gray, gray), 1, cv2.LINE_AA)
