"""Command line: edits the face of a portrait by controls, as a picture, a loop or a motion for other portraits.

python -m fewshot_heads.edit mona_lisa.jpg smile=0.6 yaw=15
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import make_parser, parse_and_run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = make_parser(
        "edit",
        "PORTRAIT [PORTRAIT ...] [-o OUTPUT] [--overwrite] [--animate] [control=value ...] [key=value ...]",
        "Edits the face of a portrait: pose, expression and gaze. Each control is 0 by default and changes nothing.",
        "a picture or, with --animate, .mp4, .webm or .gif; .safetensors: a driver for other portraits, a pose of two "
        "frames, or the loop; default <portrait>_edited.png or .mp4 here",
    )
    parser.add_argument(
        "--animate", action="store_true", help="a loop that eases from the portrait to the edit and back"
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="PORTRAIT", help="pictures of one person, or one saved head (.safetensors)"
    )
    return parse_and_run(parser, _edit, argv)


def _edit(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import choose_output, weights_of
    from fewshot_heads.driving.controls import CONTROLS
    from fewshot_heads.media.files import SAVED
    from fewshot_heads.media.images import WRITTEN as PICTURES
    from fewshot_heads.media.images import write_image
    from fewshot_heads.media.video_writer import WRITTEN, exact_rate

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("edit", overrides)
    paths = [Path(name) for name in names]
    if not paths:
        raise UsageError("give a portrait; --help shows how")
    suffixes, suffix = (WRITTEN, ".mp4") if arguments.animate else (PICTURES, ".png")
    inputs = [*paths, *weights_of(config)]
    output = choose_output(arguments, f"{paths[0].stem}_edited{suffix}", (*suffixes, SAVED), inputs)
    values, rate = {name: config[name] for name in CONTROLS}, exact_rate(config["rate"])
    count = max(2, round(config["seconds"] * rate)) if arguments.animate else 2

    from fewshot_heads.cli.animation import source_head
    from fewshot_heads.cli.session import open_reenactor, write_frames

    reenactor = open_reenactor(config)
    editor, mark = reenactor.editor(source_head(reenactor, paths, config)), reenactor.provenance().made_from(paths)
    if output.suffix.lower() == SAVED:
        editor.motion(values, count, rate).save(output, arguments.overwrite)
    elif not arguments.animate:
        write_image(output, editor.edit(values), mark, arguments.overwrite)
    else:
        frames = editor.loop(values, count)
        write_frames(frames, output, rate, mark, config["crf"], arguments.overwrite, "edit", count)
    return output


if __name__ == "__main__":
    sys.exit(main())
