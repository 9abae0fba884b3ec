"""Command line: reads the mark of synthetic media in a picture or video.

python -m fewshot_heads.verify out.mp4
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import Parser, add_output_arguments, run
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import printable

NOT_MARKED = 3  # exit code


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    The code is 0 if every file is marked as synthetic, 3 if a file is not, and otherwise that of `cli.parser.run`.

    Args:
        argv: the arguments; None takes those of the process.
    """
    parser = Parser(
        prog="python -m fewshot_heads.verify",
        description="Tells whether files are marked as synthetic. The exit code is 0 if all are, 3 if one is not.",
        epilog="A file without the mark may still be synthetic: anybody can remove metadata.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a picture or a video")
    parser.add_argument("--json", action="store_true", help="print one JSON object a file")
    add_output_arguments(parser)
    arguments = parser.parse_args(argv)
    are_marked: list[bool] = []
    code = run(lambda: _report(arguments, are_marked), arguments.debug)
    return code or (0 if all(are_marked) else NOT_MARKED)


def _report(arguments: argparse.Namespace, are_marked: list[bool]) -> str:
    """Returns one line about each file, and appends to `are_marked` whether the file is marked as synthetic."""
    from fewshot_heads.media.provenance import COMPOSITE, SYNTHETIC, read_mark

    kinds = {SYNTHETIC: "synthetic", COMPOSITE: "partly synthetic"}
    lines = []
    for path in arguments.files:
        mark = read_mark(path) or {}
        source_type = mark.get("digital_source_type", "")
        are_marked.append(source_type in kinds)
        if arguments.json:
            lines.append(json.dumps({"file": str(path), "synthetic": are_marked[-1], **mark}))
            continue
        kind = kinds.get(source_type, f"marked as {source_type}, which is not synthetic") if mark else "no mark"
        facts = [f"{name.replace('_', ' ')} {value}" for name, value in mark.items() if name != "digital_source_type"]
        lines.append(printable(": ".join([str(path), kind, *filter(None, [", ".join(facts)])])))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
