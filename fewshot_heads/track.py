"""Command line: saves the motion of a driver without its pixels.

python -m fewshot_heads.track driver.mp4 -o motion.safetensors
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
        "track",
        "DRIVER [-o OUTPUT] [--overwrite] [key=value ...]",
        "Saves the motion of a driving video without its pictures and sound. The file is a driver for every command.",
        ".safetensors; default <driver>_motion.safetensors here",
    )
    parser.add_argument("inputs", nargs="+", metavar="DRIVER", help="a video, gif or folder of frames")
    return parse_and_run(parser, _track, argv)


def _track(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import choose_output
    from fewshot_heads.media.files import SAVED
    from fewshot_heads.media.video_reader import read_video

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("track", overrides)
    if len(names) != 1:
        raise UsageError("give one driver; --help shows how")
    path = Path(names[0])
    output = choose_output(arguments, f"{path.stem}_motion{SAVED}", (SAVED,), [path])
    driver = read_video(path)

    from tqdm import tqdm

    from fewshot_heads.driving.tracking import track
    from fewshot_heads.landmarks import detectors

    frames = tqdm(driver, "landmarks", driver.frame_count_estimate, disable=None, unit="frame", leave=False)
    searchers = detectors(**config["landmarks"])
    motion = track(frames, searchers, config["driver_face"], config["smoothing"], driver.rate, str(path))
    motion.save(output, arguments.overwrite)
    return output


if __name__ == "__main__":
    sys.exit(main())
