"""Runs jobs of `benchmarks.stages` in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from fewshot_heads.errors import BadInput

_PROFILER_LINE = "py-spy>"  # with which py-spy begins what it prints to the same output


def in_new_process(*arguments: str, within: Sequence[str] = ()) -> str:
    """Returns the last line that a new Python process prints.

    Args:
        arguments: of the interpreter.
        within: a command that runs the interpreter, such as a profiler.

    Raises:
        BadInput: the process failed. The text is the last line of its complaint.
    """
    done = subprocess.run([*within, sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        # Notes of an interpreter that exits are no reason.
        complaint = done.stderr.split("Exception ignored")[0].strip()
        last = (complaint or f"a run of its own ended with code {done.returncode}").splitlines()[-1]
        raise BadInput(last.removeprefix("BadInput: "))
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(_PROFILER_LINE)]
    return lines[-1]


def job(name: str, cores: int, within: Sequence[str] = (), **arguments: Any) -> dict[str, Any]:
    """Runs a job of `benchmarks.stages` in a new process, with its own memory and cores.

    Args:
        name: of the job.
        cores: number of cores; 0 for all.
        within: see `in_new_process`.
        arguments: of the job.
    """
    command = ("-m", "benchmarks.stages", name, str(cores), json.dumps(arguments))
    return json.loads(in_new_process(*command, within=within))
