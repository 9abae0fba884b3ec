"""Clocks and memory meters for `benchmarks.stages`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads.imaging.threads import set_thread_count

MIN_CALLS, MAX_CALLS = 3, 30  # of a timed stage


def spread(values: list[float]) -> dict[str, float]:
    """Returns the median with the smallest and the largest value."""
    return {"median": float(np.median(values)), "low": float(min(values)), "high": float(max(values))}


def timed(call: Callable[[], Any], frames: int, seconds: float) -> dict[str, float]:
    """Returns milliseconds a frame of a call, after one call of warm-up.

    Args:
        call: the stage.
        frames: number of frames of a call.
        seconds: duration of the repetitions. There are 3 to 30 of them.
    """
    call()
    spans: list[float] = []
    end = time.perf_counter() + seconds
    while len(spans) < MIN_CALLS or (len(spans) < MAX_CALLS and time.perf_counter() < end):
        start = time.perf_counter()
        call()
        spans.append((time.perf_counter() - start) * 1e3 / frames)
    return spread(spans)


def allow(cores: int) -> None:
    """Pins this process and its children to a number of cores, if possible."""
    set_thread_count(cores)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def peak_mib() -> float:
    """Returns the peak resident memory of this process.

    On Linux ru_maxrss would include the memory of the parent at the fork.
    """
    if (status := Path("/proc/self/status")).exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    import resource  # not on Windows

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
