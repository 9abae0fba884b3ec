"""Command line: looks for the marks of synthetic media in pictures and videos: metadata, credentials, watermark.

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
        description="Tells whether files are marked as synthetic, by their metadata (IPTC), their Content Credentials "
        "(C2PA) or the watermark in their pixels. The exit code is 0 if all files have one of these marks, 3 if a file "
        "has none, 1 if a file cannot be read, 2 for a wrong command line.",
        epilog="A file without a mark may still be synthetic: marks can be removed.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a picture or a video")
    parser.add_argument("--json", action="store_true", help="print one JSON object a file")
    add_output_arguments(parser)
    arguments = parser.parse_args(argv)
    are_marked: list[bool] = []
    code = run(lambda: _report(arguments, are_marked), arguments.debug)
    return code or (0 if all(are_marked) else NOT_MARKED)


def _report(arguments: argparse.Namespace, are_marked: list[bool]) -> str:
    """Returns four lines or one JSON object about each file, and appends to `are_marked` whether the file is marked."""
    from fewshot_heads.media.verification import verify

    lines: list[str] = []
    for path in arguments.files:
        result = verify(path)
        are_marked.append(bool(result))
        if arguments.json:
            lines.append(json.dumps({"file": str(path), **result.as_json()}, allow_nan=False))
        else:
            lines += [printable(f"{path}: {result.verdict}"), *(f"  {printable(line)}" for line in result.lines())]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
