"""A head that sound animates, and a chart of its motion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.creative.blending.identity_blend import IdentityBlend
from fewshot_heads.creative.blending.morphing import Morph, render_mixed
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.head import Head
from fewshot_heads.reenactor import Reenactor

_COLUMNS = 4  # of the preview's two rows
_ROW = 64  # pixels of a curve
_COLORS = ((230, 90, 90), (90, 170, 250), (240, 240, 240), (250, 200, 80), (130, 220, 130), (200, 140, 240))


class IdentityTransition(NamedTuple):
    """Whom a head becomes, and by how much in each frame: shares [T], clipped to 0..1."""

    toward: Head
    shares: np.ndarray


def animated(
    reenactor: Reenactor,
    head: Head,
    motion: Motion,
    drift: IdentityTransition | None = None,
    paste_back: bool = True,
    batch: int = 4,
) -> Iterator[np.ndarray]:
    """The head's frames for what `motion_from_audio` made; options as of `Reenactor.animate`.

    With a drift there is no picture the other's hair would fit into: paste_back only gives the crop its full size.
    """
    if drift is None:
        frames = reenactor.animate(head, motion, "relative", reference=0, paste_back=paste_back, batch=batch)
        return islice(frames, 1, None)
    moves = motion.cropped(reenactor.size)
    people = [head, drift.toward]
    reenacted = [
        retarget(each.landmarks[0], moves, "relative", reference=0, side=reenactor.size)[1:] for each in people
    ]
    shares = np.clip(drift.shares, 0, 1)
    blend = IdentityBlend(reenactor, people, None if paste_back else reenactor.size)
    return render_mixed(blend, reenacted, shares, np.arange(len(shares)), Morph(batch=batch))


def preview(
    reenactor: Reenactor, head: Head, curves: Mapping[str, np.ndarray], motion: Motion, rate: float,
    drift: IdentityTransition | None = None,
) -> np.ndarray:  # fmt: skip
    """A sheet uint8 [H, W, 3]: the curves, below them the quietest moments and the loudest, each in time's order."""
    quiet, loud = _moments(-curves["rms"]), _moments(curves["rms"])
    chosen = Motion([motion.landmarks[i] for i in (0, *(at + 1 for at in quiet + loud))], [], [], motion.frame_size)
    chosen.shots.append((0, len(chosen)))
    then = drift and drift._replace(shares=drift.shares[quiet + loud])
    frames = list(animated(reenactor, head, chosen, then, paste_back=False))
    for frame, at in zip(frames, quiet + loud, strict=True):
        _write(frame, f"{at / rate:.2f} s", 8)
    width = _COLUMNS * reenactor.size
    rows = [frames[: len(quiet)], frames[len(quiet) :]]
    shown = [np.concatenate(row, axis=1) for row in rows]
    shown = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in shown]
    return np.concatenate([_drawn(curves, width, quiet, loud), *shown])


def _moments(level: np.ndarray) -> list[int]:
    """Up to `_COLUMNS` frames where level [T] is highest, far from one another."""
    free = np.ones(len(level), bool)
    found: list[int] = []
    while free.any() and len(found) < _COLUMNS:
        at = int(np.where(free, level, -np.inf).argmax())
        found.append(at)
        apart = max(1, len(level) // (4 * _COLUMNS))
        free[max(0, at - apart) : at + apart + 1] = False
    return sorted(found)


def _drawn(curves: Mapping[str, np.ndarray], width: int, quiet: list[int], loud: list[int]) -> np.ndarray:
    """The curves one below the other, uint8 [rows, width, 3], with lines at the moments shown."""
    sheet = np.full((_ROW * len(curves), width, 3), 24, np.uint8)
    last = max(1, len(next(iter(curves.values()))) - 1)
    for moments, gray in ((quiet, 80), (loud, 150)):
        for at in moments:
            x = round(at / last * (width - 1))
            cv2.line(sheet, (x, 0), (x, len(sheet)), (gray, gray, gray))
    for row, ((name, curve), color) in enumerate(zip(curves.items(), _COLORS, strict=True)):
        along = np.linspace(0, last, width)
        height = np.interp(along, np.arange(len(curve)), curve)
        points = np.stack([np.arange(width), (row + 1) * _ROW - 4 - height * (_ROW - 8)], axis=1)
        cv2.polylines(sheet, [points.round().astype(np.int32)], False, color, 1, cv2.LINE_AA)
        _write(sheet, name, row * _ROW)
    return sheet


def _write(image: np.ndarray, text: str, top: int) -> None:
    for gray, shift in ((0, 1), (255, 0)):
        at = (6 + shift, top + 14 + shift)
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (gray, gray, gray), 1, cv2.LINE_AA)
