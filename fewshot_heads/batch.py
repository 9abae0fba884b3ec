"""Command line: animates many portraits with many drivers, as a table says.

python -m fewshot_heads.batch jobs.tsv
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot_heads.cli.conf_files import keys_of
from fewshot_heads.cli.parser import error_line, make_parser, run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import BadInput, UsageError, printable

if TYPE_CHECKING:
    from fewshot_heads.cli.jobs import Job


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    The code is 0 if every video is there, 1 if a row failed, and otherwise that of `cli.parser.run`.

    Args:
        argv: the arguments; None takes those of the process.
    """
    parser = make_parser(
        "batch",
        "JOBS.tsv [--overwrite] [key=value ...]",
        "Animates each row of a table. Columns, separated by tabs and named in the first line: sources (separated by "
        "';'), driver, output and, if any, options (key=value and --video of `animate`). Paths are relative to the "
        "table. Outputs that exist are finished, so the same command resumes an interrupted run.",
    )
    parser.epilog = f"{parser.epilog}\n\nkeys of `animate` hold for every row that does not set them: crf=23"
    parser.keys |= keys_of("animate")
    parser.add_argument("inputs", nargs="+", metavar="JOBS.tsv", help="the table")
    parser.add_argument("--overwrite", action="store_true", help="make the outputs that exist again")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _batch(arguments), arguments.debug)


def _batch(arguments: argparse.Namespace) -> str:
    """Runs the jobs of a table; returns the counts. Raises BadInput if a row failed."""
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.jobs import Job, read_jobs

    paths, overrides = split_overrides(arguments.inputs)
    own = [override for override in overrides if override.partition("=")[0].partition(".")[0] in keys_of("batch")]
    common = [override for override in overrides if override not in own]
    workers = load_config("batch", own)["workers"]
    load_config("animate", common)  # a wrong one is an error of the command, not of each row
    if len(paths) != 1:
        raise UsageError("give one table of jobs; --help shows how")
    table = Path(paths[0])
    rows = list(read_jobs(table, common))
    if not rows:
        raise BadInput(f"{table}: no row below the first line; write one for each video")
    jobs = [job for _, job in rows if isinstance(job, Job)]
    missing = [job for job in jobs if arguments.overwrite or not job.output.exists()]
    reasons = {line: error_line(row) for line, row in rows if not isinstance(row, Job)}
    if missing:
        reasons |= _run(missing, workers, arguments.overwrite)
    for line, reason in sorted(reasons.items()):
        print(printable(f"{table}, line {line}: {reason}"), file=sys.stderr)
    finished = len(jobs) - len(missing)
    counts = f"{len(rows) - len(reasons) - finished} written, {finished} finished before"
    if reasons:
        raise BadInput(f"{table}: {len(reasons)} of {len(rows)} rows failed ({counts}); mend them and run this again")
    return counts


def _run(jobs: Sequence[Job], workers: Mapping[str, Any], overwrite: bool) -> dict[int, str]:
    """Runs jobs under two progress bars; returns the reason of each line that failed."""
    from functools import partial
    from tempfile import TemporaryDirectory

    from tqdm import tqdm

    from fewshot_heads.cli.job_runner import make_part, parts_of, run_in_workers, write_video

    parts = {part.name: part for job in jobs for part in parts_of(job)}
    folder = jobs[0].output.parent  # the workers of a cluster write there, and the folder of the table may be read-only
    with TemporaryDirectory(prefix=".batch_", dir=folder) as name:
        scratch = Path(name).absolute()
        made = run_in_workers(make_part, parts.values(), scratch, workers)
        for _ in tqdm(made, "heads and motions", len(parts), disable=None, leave=False):
            pass
        written = run_in_workers(partial(write_video, overwrite), jobs, scratch, workers)
        done = tqdm(written, "batch", len(jobs), disable=None, unit="video")
        return {job.line: reason for job, reason in done if reason}


if __name__ == "__main__":
    sys.exit(main())
