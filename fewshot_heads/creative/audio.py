"""Command line: animates a portrait with music or speech, and writes a video with that sound.

python -m fewshot_heads.creative.audio mona_lisa.jpg song.mp3
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fewshot_heads.cli.conf_files import CONF_DIR
from fewshot_heads.cli.parser import make_parser, parse_and_run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.creative.sound.vocabulary import SIGNALS, TARGETS
from fewshot_heads.errors import UsageError

if TYPE_CHECKING:
    from fewshot_heads.head import Head
    from fewshot_heads.reenactor import Reenactor


logger = logging.getLogger(__name__)

_ANALYSIS_KEYS = ("bass", "vocal", "attack", "release", "gate", "onset_gap")
_PERFORMANCE_KEYS = ("seed", "idle_motion_gain", "blinks", "clamp")
_MODE_KEYS = ("attack", "release", "gate", "idle_motion_gain", "blinks")


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = make_parser(
        "audio",
        "PORTRAIT SOUND [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
        "Music or speech drives the face of a portrait. react.SIGNAL=TARGET:AMOUNT,... says what moves what.",
        ".mp4, .webm or .gif; default <portrait>_<sound>.mp4 here",
        preview="only a picture (.png, .jpg) of moments and curves",
    )
    parser.epilog = f"{parser.epilog}\n\n{_help_of_modes()}"
    parser.add_argument("inputs", nargs="+", metavar="PORTRAIT SOUND", help="a picture or saved head; any sound file")
    return parse_and_run(parser, _audio, argv)


def _help_of_modes() -> str:
    """Returns tables of the modes' defaults, the signals and the targets."""
    import yaml

    paths = [CONF_DIR / "mode" / f"{mode}.yaml" for mode in ("music", "speech")]
    modes = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}
    rows = [("key", *modes), *((f"react.{s}=", *(m["react"][s] for m in modes.values())) for s in SIGNALS)]
    rows += [(f"{key}=", *(str(mode[key]) for mode in modes.values())) for key in _MODE_KEYS]
    table = ["  {:<26} {:<24} {}".format(*row) for row in rows]
    words = [f"  {word:<26} {text}" for word, text in (*SIGNALS.items(), *TARGETS.items())]
    return "\n".join(["keys of the modes and their defaults:", *table, "", "signals (0 to 1), then targets:", *words])


def _audio(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import choose_output

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("audio", overrides)
    if len(names) != 2:
        raise UsageError("give a portrait and a sound; --help shows how")

    from fewshot_heads.cli.session import open_reenactor, write_frames
    from fewshot_heads.creative.blending.identity_blend import load_person
    from fewshot_heads.creative.sound.animation import IdentityTransition, animated, preview
    from fewshot_heads.creative.sound.features import analyse
    from fewshot_heads.creative.sound.performance import control_signals, motion_from_audio, parse_reactions
    from fewshot_heads.media.audio import read_audio
    from fewshot_heads.media.files import check_readable
    from fewshot_heads.media.images import WRITTEN as PICTURES
    from fewshot_heads.media.images import write_image
    from fewshot_heads.media.video_writer import WRITTEN, exact_rate

    portrait, sound_path = map(Path, names)
    reactions = parse_reactions(config["react"])
    target = None if config["target_identity"] is None else Path(config["target_identity"])
    suffixes, suffix = (PICTURES, ".png") if arguments.preview else (WRITTEN, ".mp4")
    inputs = [path for path in (portrait, sound_path, target) if path]
    output = choose_output(arguments, f"{portrait.stem}_{sound_path.stem}{suffix}", suffixes, inputs)
    for path in inputs:  # before the analysis, which takes seconds, and 20 s at its first use in an environment
        check_readable(path)
    rate, sound = exact_rate(config["rate"]), read_audio(sound_path)
    curves = analyse(sound, rate, **{key: config[key] for key in _ANALYSIS_KEYS})
    if not curves["rms"].any():
        logger.warning("%s: silent; the face stays calm", sound_path)
    motion = motion_from_audio(curves, config["react"], rate, **{key: config[key] for key in _PERFORMANCE_KEYS})
    reenactor = open_reenactor(config)
    head = load_person(reenactor, portrait, config["source_face"])
    transition = None
    if any(reaction_target == "identity" for _, reaction_target, _ in reactions):
        other = load_person(reenactor, target) if target else _synthetic_head(reenactor, config["seed"])
        transition = IdentityTransition(other, control_signals(curves, config["react"])["identity"])
    if arguments.preview:
        sheet = preview(reenactor, head, curves, motion, float(rate), transition)
        write_image(output, sheet, reenactor.provenance(False).made_from(inputs), arguments.overwrite)
        return output
    frames = animated(reenactor, head, motion, transition, config["paste_back"], config["batch"])
    mark = reenactor.provenance(config["paste_back"] and transition is None).made_from(inputs)
    count = len(motion) - 1
    return write_frames(frames, output, rate, mark, config["crf"], arguments.overwrite, "animate", count, sound)


def _synthetic_head(reenactor: Reenactor, seed: int) -> Head:
    from fewshot_heads.creative.blending.sampling import Sample, sample

    return next(sample(reenactor, Sample(seed=seed, count=1))).head


if __name__ == "__main__":
    sys.exit(main())
