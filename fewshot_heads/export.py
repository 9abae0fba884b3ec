"""Command line: writes the networks for programs without torch, with a contract and test data.

python -m fewshot_heads.export -o exported mona_lisa.jpg driver.mp4
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
        "export",
        "[-o FOLDER] [--overwrite] [PORTRAIT DRIVER] [key=value ...]",
        "Writes embedder, generator and inpainters as ONNX or OpenVINO, with a contract of their inputs and outputs. "
        "With a portrait and a driver, also what the networks read of each frame.",
        "a new folder; default exported",
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="PORTRAIT DRIVER",
        help="a picture, and a video, gif, folder or saved motion: for data that animate without the geometry, and "
        "that test a port of it",
    )  # fmt: skip
    return parse_and_run(parser, _export, argv)


def _export(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import read_driver
    from fewshot_heads.cli.packages import check_installed
    from fewshot_heads.deployment import exported_files
    from fewshot_heads.media.files import check_no_input, check_readable
    from fewshot_heads.media.folders import check_folder

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("export", overrides)
    paths = [Path(name) for name in names]
    if len(paths) not in (0, 2):
        raise UsageError("give a portrait and a driver, or neither; --help shows how")
    output = arguments.output or Path("exported")
    check_folder(output, exported_files, arguments.overwrite)
    check_no_input(output, paths)
    if paths:
        check_readable(paths[0])
    driver = read_driver(paths[1]) if paths else None
    check_installed("export", "torch", config["format"])

    from fewshot_heads.cli.session import open_reenactor, track_driver
    from fewshot_heads.deployment.folder import export_to

    reenactor = open_reenactor(config | {"device": "cpu", "backend": "torch"})
    if driver is None:
        return export_to(output, reenactor, config["inpainters"], config["format"], arguments.overwrite)
    head = reenactor.embed([paths[0]], config["source_face"])
    motion = track_driver(reenactor, driver, config)
    animation = (head, motion, config["frames"])
    return export_to(output, reenactor, config["inpainters"], config["format"], arguments.overwrite, animation)


if __name__ == "__main__":
    sys.exit(main())
