"""Music or speech drives a face: a portrait and a sound in, a video with that sound out.

python -m fewshot_heads.creative.audio mona_lisa.jpg song.mp3
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import check_output, open_reenactor
from fewshot_heads.creative.blending.identity_blend import load_person
from fewshot_heads.creative.blending.sampling import Sample, sample
from fewshot_heads.creative.sound.animation import IdentityTransition, animated, preview
from fewshot_heads.creative.sound.features import SIGNALS, analyse
from fewshot_heads.creative.sound.performance import TARGETS, control_signals, motion_from_audio, parse_reactions
from fewshot_heads.errors import BadInput, UsageError
from fewshot_heads.head import Head
from fewshot_heads.media.audio import read_audio
from fewshot_heads.media.images import WRITTEN as PICTURES
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter, exact_rate
from fewshot_heads.reenactor import Reenactor

logger = logging.getLogger(__name__)

_ANALYSIS = ("bass", "vocal", "attack", "release", "gate", "onset_gap")
_PERFORMANCE = ("seed", "idle_motion_gain", "blinks", "clamp")


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
    modes = {mode: load_config("audio", [f"mode={mode}"]) for mode in ("music", "speech")}
    own = ["attack", "release", "gate", "idle_motion_gain", "blinks"]
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
    config = load_config("audio", overrides)
    reactions = parse_reactions(config["react"])
    output = arguments.output or Path(f"{portrait.stem}_{source.stem}.{'png' if arguments.preview else 'mp4'}")
    toward = None if config["target_identity"] is None else Path(config["target_identity"])
    inputs = [path for path in (portrait, source, toward) if path]
    check_output(output, PICTURES if arguments.preview else WRITTEN, arguments.overwrite, inputs)
    if toward and not toward.is_file():
        raise BadInput(f"target_identity={toward}: no such file; name a picture or a saved head")
    rate, sound = exact_rate(config["rate"]), read_audio(source)
    curves = analyse(sound, rate, **{key: config[key] for key in _ANALYSIS})
    if not curves["rms"].any():
        logger.warning("%s: silent; the face stays calm", source)
    motion = motion_from_audio(curves, config["react"], rate, **{key: config[key] for key in _PERFORMANCE})
    reenactor = open_reenactor(config)
    head = load_person(reenactor, portrait, config["source_face"])
    drift = None
    if any(target == "identity" for _, target, _ in reactions):
        # Whom the user names, or somebody invented.
        other = load_person(reenactor, toward) if toward else _invented(reenactor, config["seed"])
        drift = IdentityTransition(other, control_signals(curves, config["react"])["identity"])
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


def _invented(reenactor: Reenactor, seed: int) -> Head:
    return next(sample(reenactor, Sample(seed=seed, count=1))).head


if __name__ == "__main__":
    sys.exit(main())
