"""Command line that turns a folder of footage into training data.

python -m fewshot_heads.prepare videos prepared
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    The code is 0 for success, 1 for bad input, 2 for a usage error and 128 + n for signal n, 130 for Ctrl-C.

    Args:
        argv: the arguments; None takes those of the process.
    """
    parser = make_parser(
        "prepare",
        "IN OUT [key=value ...]",
        "Turns a folder of videos, or of one folder of pictures a person, into training data. An "
        "interrupted run is resumed by the same command.",
    )
    parser.add_argument("inputs", nargs="+", metavar="IN OUT", help="the folder of footage; the folder to write to")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _prepare(arguments), arguments.debug)


def _prepare(arguments: argparse.Namespace) -> Path:
    """Checks the settings and prepares the footage; returns the folder that was written."""
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.packages import check_installed

    paths, overrides = split_overrides(arguments.inputs)
    settings = load_config("prepare", overrides)
    if len(paths) != 2:
        raise UsageError("give the folder of footage and the folder to write to; --help shows how")
    if settings["max_seconds"] < 2 * settings["min_seconds"]:
        raise UsageError(
            "max_seconds is under twice min_seconds, so pieces of a long shot could be too short; raise max_seconds"
        )
    if settings["identity"] == "cluster" and not settings["face_network"]:
        raise UsageError("identity=cluster compares faces; name the weights of MobileFaceNet, face_network=FILE")
    check_installed("train", "torch", "fsspec", "scipy")
    from fewshot_heads.preparation.pipeline import prepare_footage  # torch, after every check

    workers = settings.pop("workers")
    return prepare_footage(Path(paths[0]), Path(paths[1]), settings, workers)


if __name__ == "__main__":
    sys.exit(main())
