"""Command line: animates the person in one or few pictures with a driving video.

python -m fewshot_heads.animate mona_lisa.jpg driver.mp4
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
    """Runs the command line and returns the exit code: 0, 1 (bad input), 2 (usage), 128 + n (signal n)."""
    parser = make_parser(
        "animate",
        "SOURCE [SOURCE ...] DRIVER [-o OUTPUT] [--overwrite] [key=value ...]",
        "Animates the person in one or few pictures with the motion of a driving video.",
        ".mp4, .webm or .gif; default <source>_<driver>.mp4 here",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="SOURCE ... DRIVER",
        help="pictures of one person, or one saved head (.safetensors); last the driver: a video, gif, folder or saved "
        "motion",
    )  # fmt: skip
    return parse_and_run(parser, _animate, argv)


def _animate(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import choose_output, read_driver
    from fewshot_heads.media.video_writer import WRITTEN

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("animate", overrides)
    paths = [Path(name) for name in names]
    if len(paths) < 2:
        raise UsageError("give at least one source picture and a driver; --help shows how")
    *sources, driver_path = paths
    output = choose_output(arguments, f"{sources[0].stem}_{driver_path.stem}.mp4", WRITTEN, paths)
    driver = read_driver(driver_path, shown=config["side_by_side"])

    from fewshot_heads.cli.driver_tracking import DriverTracking

    with DriverTracking(driver, config) as tracking:
        from fewshot_heads.cli.animation import animation_frames, source_head
        from fewshot_heads.cli.session import open_reenactor, write_frames

        # The driver has two detectors of its own.
        reenactor = open_reenactor(config | {"landmarks": config["landmarks"] | {"count": 1}})
        head = source_head(reenactor, sources, config)
        motion = tracking.motion()
    frames = animation_frames(reenactor, head, motion, driver, config)
    mark = reenactor.provenance(config["paste_back"]).made_from(paths)
    return write_frames(frames, output, driver, mark, config["crf"], arguments.overwrite, "animate", len(motion))


if __name__ == "__main__":
    sys.exit(main())
