"""Fits the expression basis to prepared clips.

python -m fewshot_heads.creative.sound.fit_expression_basis PREPARED -o motion_basis.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import add_output_arguments, parse_and_run
from fewshot_heads.cli.signals import ends_on_signals


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = argparse.ArgumentParser(description="Learns a motion basis from the training clips of prepared data.")
    parser.add_argument("prepared", help="what python -m fewshot_heads.prepare made")
    add_output_arguments(parser, "default motion_basis.json here", Path("motion_basis.json"))
    return parse_and_run(parser, _fit, argv)


def _fit(arguments: argparse.Namespace) -> Path:
    from tqdm import tqdm

    from fewshot_heads.creative.sound.expression_basis import learn
    from fewshot_heads.datasets.shards import open_shards

    clips = [clip for clip in open_shards(arguments.prepared, "train") if clip.kind == "video"]
    basis = learn(clip.landmarks for clip in tqdm(clips, "faces", disable=None, unit="clip"))
    basis.save(arguments.output, arguments.overwrite)
    return arguments.output


if __name__ == "__main__":
    sys.exit(main())
