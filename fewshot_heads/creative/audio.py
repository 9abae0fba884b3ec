"""Music or speech drives a face: a portrait and a sound in, a video with that sound out.

python -m fewshot_heads.creative.audio mona_lisa.jpg song.mp3
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.config import plain
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import check_output, opened
from fewshot_heads.creative.cast import Cast, load_person
from fewshot_heads.creative.morph import Morph, mixed
from fewshot_heads.creative.performance import TARGETS, dials, parse_reactions, perform
from fewshot_heads.creative.sample import Sample, sample
from fewshot_heads.creative.signals import SIGNALS, analyse
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput, UsageError
from fewshot_heads.head import Head
from fewshot_heads.media.audio import read_sound
from fewshot_heads.media.images import WRITTEN as PICTURES
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter, exact_rate
from fewshot_heads.reenactor import Reenactor

logger = logging.getLogger(__name__)

_ANALYSIS = ("bass", "vocal", "attack", "release", "gate", "onset_gap")
_PERFORMANCE = ("seed", "liveliness", "blinks", "clamp")
_COLUMNS = 4  # of the preview's two rows
_ROW = 64  # pixels of a curve
_COLOURS = ((230, 90, 90), (90, 170, 250), (240, 240, 240), (250, 200, 80), (130, 220, 130), (200, 140, 240))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    arguments = _parser().parse_intermixed_args(argv)
    return run(lambda: _audio(arguments), arguments.debug)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "audio",
        "PORTRAIT SOUND [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
        "Music or speech drives the face of a portrait. react.SIGNAL=TARGET:AMOUNT,... says what moves what.",
        ".mp4, .webm or .gif; default <portrait>_<sound>.mp4 here",
    )
    modes = {mode: plain("audio", [f"mode={mode}"]) for mode in ("music", "speech")}
    own = ["attack", "release", "gate", "liveliness", "blinks"]
    rows = [("key", *modes), *((f"react.{s}=", *(m["react"][s] for m in modes.values())) for s in SIGNALS)]
    rows += [(f"{key}=", *(str(mode[key]) for mode in modes.values())) for key in own]
    table = ["  {:<26} {:<24} {}".format(*row) for row in rows]
    words = [f"  {word:<26} {text}" for word, text in (*SIGNALS.items(), *TARGETS.items())]
    parts = ["keys of the modes and their defaults:", *table, "", "signals (0 to 1), then targets:", *words]
    parser.epilog = "\n".join([str(parser.epilog), "", *parts])
    parser.add_argument("inputs", nargs="+", metavar="PORTRAIT SOUND", help="a picture or saved head; any sound file")
    parser.add_argument("--preview", action="store_true", help="only a picture (.png, .jpg) of moments and curves")
    return parser


def _audio(arguments: argparse.Namespace) -> Path:
    names, overrides = split_overrides(arguments.inputs)
    if len(names) != 2:
        raise UsageError("give a portrait and a sound; --help shows how")
    portrait, source = map(Path, names)
    config = plain("audio", overrides)
    reactions = parse_reactions(config["react"])
    output = arguments.output or Path(f"{portrait.stem}_{source.stem}.{'png' if arguments.preview else 'mp4'}")
    toward = None if config["toward"] is None else Path(config["toward"])
    inputs = [path for path in (portrait, source, toward) if path]
    check_output(output, PICTURES if arguments.preview else WRITTEN, arguments.overwrite, inputs)
    if toward and not toward.is_file():
        raise BadInput(f"toward={toward}: no such file; name a picture or a saved head")
    rate, sound = exact_rate(config["rate"]), read_sound(source)
    curves = analyse(sound, rate, **{key: config[key] for key in _ANALYSIS})
    if not curves["rms"].any():
        logger.warning("%s: silent; the face stays calm", source)
    motion = perform(curves, config["react"], rate, **{key: config[key] for key in _PERFORMANCE})
    reenactor = opened(config)
    head = load_person(reenactor, portrait, config["face"])
    drift = None
    if any(target == "identity" for _, target, _ in reactions):
        # Whom the user names, or somebody invented.
        other = load_person(reenactor, toward) if toward else _invented(reenactor, config["seed"])
        drift = Drift(other, dials(curves, config["react"])["identity"])
    if arguments.preview:
        sheet = preview(reenactor, head, curves, motion, float(rate), drift)
        write_image(output, sheet, reenactor.provenance(composite=False), arguments.overwrite)
        return output
    frames = animated(reenactor, head, motion, drift, config["paste_back"], config["batch"])
    mark = reenactor.provenance(composite=config["paste_back"] and drift is None)
    with VideoWriter(output, rate, config["crf"], sound, mark, arguments.overwrite) as out:
        for frame in tqdm(frames, "animate", len(motion) - 1, disable=None, unit="frame"):
            out.add(frame)
    return output


class Drift(NamedTuple):
    """Whom a head becomes, and by how much in each frame: shares [T], clipped to 0..1."""

    toward: Head
    shares: np.ndarray


def animated(
    reenactor: Reenactor,
    head: Head,
    motion: Motion,
    drift: Drift | None = None,
    paste_back: bool = True,
    batch: int = 4,
) -> Iterator[np.ndarray]:
    """The head's frames for what `perform` made; options as of `Reenactor.animate`.

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
    cast = Cast(reenactor, people, None if paste_back else reenactor.size)
    return mixed(cast, reenacted, shares, np.arange(len(shares)), Morph(batch=batch))


def _invented(reenactor: Reenactor, seed: int) -> Head:
    return next(sample(reenactor, Sample(seed=seed, count=1))).head


def preview(
    reenactor: Reenactor, head: Head, curves: Mapping[str, np.ndarray], motion: Motion, rate: float,
    drift: Drift | None = None,
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
    for moments, grey in ((quiet, 80), (loud, 150)):
        for at in moments:
            x = round(at / last * (width - 1))
            cv2.line(sheet, (x, 0), (x, len(sheet)), (grey, grey, grey))
    for row, ((name, curve), colour) in enumerate(zip(curves.items(), _COLOURS, strict=True)):
        along = np.linspace(0, last, width)
        height = np.interp(along, np.arange(len(curve)), curve)
        points = np.stack([np.arange(width), (row + 1) * _ROW - 4 - height * (_ROW - 8)], axis=1)
        cv2.polylines(sheet, [points.round().astype(np.int32)], False, colour, 1, cv2.LINE_AA)
        _write(sheet, name, row * _ROW)
    return sheet


def _write(image: np.ndarray, text: str, top: int) -> None:
    for grey, shift in ((0, 1), (255, 0)):
        at = (6 + shift, top + 14 + shift)
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (grey, grey, grey), 1, cv2.LINE_AA)


if __name__ == "__main__":
    sys.exit(main())
