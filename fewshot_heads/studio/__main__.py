"""Command line: serves a page that animates portraits in the browser.

python -m fewshot_heads.studio
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn

from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import BadInput, UsageError


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the page until a signal ends it, and returns the exit code, see `cli.parser.run`."""
    parser = make_parser(
        "studio",
        "[--port PORT] [--share=false] [key=value ...]",
        "Serves a page for the browser: animate, edit, create, fine-tune, check. By default only for this machine.",
    )
    parser.add_argument("options", nargs="*", metavar="key=value", help="see below")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _serve(arguments), arguments.debug)


def _serve(arguments: argparse.Namespace) -> NoReturn:
    from fewshot_heads.cli.config import load_config

    names, overrides = split_overrides(arguments.options)
    if names:
        raise UsageError(f"{names[0]}: files are chosen in the page; --help lists the options")
    config = load_config("studio", overrides)
    if find_spec("gradio") is None:
        raise BadInput("the studio needs Gradio, which is not installed; pip install 'fewshot_heads[studio]'")

    from fewshot_heads.studio.environment import own_folder

    with own_folder() as folder:
        from fewshot_heads.studio.server import serve

        serve(config, folder)


if __name__ == "__main__":
    sys.exit(main())
