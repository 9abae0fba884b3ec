"""Fits the appearance model: `python -m fewshot_heads.creative.appearance`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import Parser, add_output_arguments, parse_and_run, print_details
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import BadInput


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = Parser(description="Learns a model of appearance from the people of prepared data.")
    parser.add_argument("prepared", nargs="+", help="what python -m fewshot_heads.prepare made; its split train")
    parser.add_argument(
        "--matte",
        nargs="?",
        const=True,
        default=False,
        help="remove backgrounds; a FILE after it is ignored, as the shipped segmenter is used",
    )
    parser.add_argument(
        "--hair", type=Path, help="MediaPipe's hair_segmentation.tflite; without it hair is part of skin"
    )
    add_output_arguments(parser, "default appearance.safetensors here", Path("appearance.safetensors"))
    return parse_and_run(parser, _fit, argv)


def _fit(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.media.files import check_target

    check_target(arguments.output, (".safetensors",), arguments.overwrite)
    from fewshot_heads.creative.appearance.fitting import learn
    from fewshot_heads.creative.appearance.portraits import select_portraits

    people = select_portraits(arguments.prepared, bool(arguments.matte), arguments.hair)
    try:
        model, kept, _ = learn(people)
    except BadInput as error:
        raise BadInput(f"{', '.join(arguments.prepared)}: {error}") from error
    print_details(f"{len(people)} people sat well, {len(kept)} of them ordinary enough; {model.directions} directions")
    model.save(arguments.output, arguments.overwrite)
    return arguments.output


if __name__ == "__main__":
    sys.exit(main())
