"""Command line: animates the person in one or few pictures with a driving video.

python -m fewshot_heads.animate mona_lisa.jpg driver.mp4
python -m fewshot_heads.animate --video talk.mp4 driver.mp4
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import make_parser, parse_and_run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError

_log = logging.getLogger(__name__)


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code: 0, 1 (bad input), 2 (usage), 128 + n (signal n)."""
    parser = make_parser(
        "animate",
        "[--video] SOURCE [SOURCE ...] DRIVER [-o OUTPUT] [--overwrite] [key=value ...]",
        "Animates the person in one or few pictures, or in a video, with the motion of a driving video.",
        ".mp4, .webm or .gif; default <source>_<driver>.mp4 here",
    )
    parser.add_argument(
        "--video", action="store_true",
        help="the source is a video, whose person keeps the head pose and the background and takes the expression",
    )  # fmt: skip
    parser.add_argument(
        "inputs", nargs="+", metavar="SOURCE ... DRIVER",
        help="pictures of one person, or one saved head (.safetensors); last the driver: a video, gif, folder or saved "
        "motion",
    )  # fmt: skip
    return parse_and_run(parser, _animate, argv)


def _animate(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import check_video_source, choose_output, read_driver, read_video_source
    from fewshot_heads.media.video_writer import WRITTEN

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("animate", overrides)
    paths = [Path(name) for name in names]
    if len(paths) < 2:
        raise UsageError("give at least one source picture and a driver; --help shows how")
    *sources, driver_path = paths
    if arguments.video:
        check_video_source(sources, config)
    output = choose_output(arguments, f"{sources[0].stem}_{driver_path.stem}.mp4", WRITTEN, paths)
    driver = read_driver(driver_path, shown=config["side_by_side"])
    source = read_video_source(sources[0], driver.rate) if arguments.video else None

    from fewshot_heads.cli.animation import animation_frames, rendering_options, source_head, video_frames
    from fewshot_heads.cli.driver_tracking import tracked_meanwhile
    from fewshot_heads.cli.session import open_reenactor, track_driver, write_frames

    reenactor = open_reenactor(config)
    with tracked_meanwhile(reenactor, driver, config) as tracked:
        if source is None:
            head = source_head(reenactor, sources, config)
            reenactor.renderer(head, **rendering_options(config))  # which `animation_frames` takes again
        else:
            source_motion = track_driver(reenactor, source, {**config, "driver_face": config["source_face"]})
        motion = tracked()
    if source is None:
        count, frames = len(motion), animation_frames(reenactor, head, motion, driver, config)
    else:
        count = min(len(source_motion), len(motion))
        if len(source_motion) != len(motion):
            shorter, longer = paths if len(source_motion) < len(motion) else reversed(paths)
            _log.warning("%s has %d frames, and %s has more; the rest is left out", shorter, count, longer)
        frames = video_frames(reenactor, source, source_motion, motion, driver, config)
    mark = reenactor.provenance(config["paste_back"]).made_from(paths)
    return write_frames(frames, output, driver, mark, config["crf"], arguments.overwrite, "animate", count)


if __name__ == "__main__":
    sys.exit(main())
