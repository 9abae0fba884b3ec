"""Runs jobs of `benchmarks.stages` in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from fewshot_heads.errors import BadInput

_METER_SECONDS = 0.2  # between two looks at the memory of processes
_PROFILER_LINE = "py-spy>"  # with which py-spy begins what it prints to the same output


def in_new_process(*arguments: str, within: Sequence[str] = ()) -> tuple[str, float]:
    """Returns the last line that a new Python process prints, and its `MemoryMeter.peak_mib`.

    Args:
        arguments: of the interpreter.
        within: a command that runs the interpreter, such as a profiler.

    Raises:
        BadInput: the process failed. The text is the last line of its complaint.
    """
    command = [*within, sys.executable, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process, MemoryMeter(process.pid) as meter:
        printed, complaint = process.communicate()
    if process.returncode:
        # Notes of an interpreter that exits are no reason.
        complaint = complaint.split("Exception ignored")[0].strip()
        last = (complaint or f"a run of its own ended with code {process.returncode}").splitlines()[-1]
        raise BadInput(last.removeprefix("BadInput: "))
    lines = [line for line in printed.splitlines() if line and not line.startswith(_PROFILER_LINE)]
    return lines[-1], meter.peak_mib


class MemoryMeter:
    """Looks again and again how much memory a process and its children have. Linux only; elsewhere it sees nothing.

    What processes share counts once. A look stops the processes for some milliseconds.

    Attributes:
        peak_mib: the most that was seen, 0 without a look.
    """

    def __init__(self, process: int) -> None:
        self.peak_mib = 0.0
        self._process, self._ended = process, Event()
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> MemoryMeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_METER_SECONDS):
            self.peak_mib = max(self.peak_mib, sum(map(_mib, _family(self._process))))


def _family(process: int) -> list[int]:
    """Returns the numbers of a process and of all that it has started."""
    children: list[int] = []
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{process}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [process, *(each for child in children for each in _family(child))]


def _mib(process: int) -> float:
    """Returns the memory of a process, MiB; what n processes share counts as an n-th in each."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def job(name: str, cores: int, within: Sequence[str] = (), **arguments: Any) -> dict[str, Any]:
    """Runs a job of `benchmarks.stages` in a new process, with its own memory and cores.

    Args:
        name: of the job.
        cores: number of cores; 0 for all.
        within: see `in_new_process`.
        arguments: of the job.
    """
    line, peak_mib = in_new_process("-m", "benchmarks.stages", name, str(cores), json.dumps(arguments), within=within)
    result = json.loads(line)
    if peak_mib and "peak_mib" in result:
        result["peak_mib"] = peak_mib  # with the processes that it has forked
    return result
