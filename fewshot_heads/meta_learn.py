"""Command line: prepared footage in, trained weights out (stage one of Zakharov et al., ICCV 2019).

python -m fewshot_heads.meta_learn DATA -o RUN
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    parser = make_parser(
        "meta_learn",
        "DATA [DATA ...] -o RUN [key=value ...]",
        "Trains embedder and generator on what `prepare` made; a RUN that exists is resumed. For several "
        "processes: torchrun --nproc-per-node N -m fewshot_heads.meta_learn ...",
    )
    parser.add_argument("inputs", nargs="+", metavar="DATA", help="folders (or URLs) that `prepare` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for checkpoint, log and pictures")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _meta_learn(arguments.inputs, arguments.output), arguments.debug)


def _meta_learn(inputs: Sequence[str], out: Path) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.packages import check_installed

    roots, overrides = split_overrides(inputs)
    config = load_config("meta_learn", overrides)
    if not roots:
        raise UsageError("give at least one folder that prepare wrote; --help shows how")
    check_installed("train", "torch", "accelerate", "fsspec")
    from fewshot_heads.training.meta_learning import meta_learn

    return meta_learn(roots, out, config)


if __name__ == "__main__":
    sys.exit(main())
