"""Settings, statistics, tables and reports that all benchmarks share."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads.errors import BadInput, FewshotHeadsError, did_you_mean
from fewshot_heads.imaging.threads import thread_count


def settings(defaults: dict[str, Any], argv: Sequence[str]) -> dict[str, Any]:
    """Returns the defaults, overridden by `key=value` arguments of the same type.

    Args:
        defaults: key -> default.
        argv: the arguments. A value may contain `=`.

    Raises:
        BadInput: an unknown key, a value of another type, or a folder as `out`.
    """
    chosen = dict(defaults)
    for argument in argv:
        key, equals, value = argument.partition("=")
        if not equals or key not in defaults:
            meant = did_you_mean(key, defaults) or f"; the keys are {', '.join(defaults)}"
            raise BadInput(f"unknown setting {argument!r}{meant}")
        try:
            chosen[key] = type(defaults[key])(value)
        except ValueError as error:
            raise BadInput(f"{key}={value!r} is not of type {type(defaults[key]).__name__}") from error
    if "out" in defaults and Path(chosen["out"]).is_dir():
        raise BadInput(f"out={chosen['out']} is a folder; name a file, such as {Path(chosen['out']) / 'report.json'}")
    return chosen


def check_paths(chosen: dict[str, Any], *keys: str) -> None:
    """Raises BadInput for a setting that names no existing path."""
    for key in keys:
        if not chosen[key] or not Path(chosen[key]).exists():
            raise BadInput(f"{key}={chosen[key]}: give a path that exists; see --help")


def run(main: Callable[[list[str]], None], documentation: str | None) -> None:
    """Runs a benchmark's command line. A user's error is one line and exit code 1.

    Args:
        main: gets the arguments.
        documentation: text for --help.
    """
    if any(argument in ("-h", "--help") for argument in sys.argv[1:]):
        print(documentation)
        return
    try:
        main(sys.argv[1:])
    except FewshotHeadsError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def mean(values: Sequence[float] | np.ndarray) -> float:
    """Returns the mean of the finite values; NaN if there are none."""
    numbers = np.asarray(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    return float(finite.mean()) if len(finite) else float("nan")


def bootstrap(values: Iterable[float], resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % percentile bootstrap interval of the mean of the finite values.

    The bounds are NaN without finite values.
    """
    finite = np.array([value for value in values if np.isfinite(value)], dtype=np.float64)
    if len(finite) == 0:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    means = finite[random.integers(0, len(finite), (resamples, len(finite)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def machine() -> dict[str, Any]:
    """Returns the processor, the cores of this process, and the versions of Python, OpenVINO and torch."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {name: version(name) if find_spec(name) else None for name in ("openvino", "torch")}
    system = {"system": platform.system(), "python": platform.python_version(), **versions}
    return {"cpu": cpu, "cores": cores, "threads": thread_count(), **system}


def sha256(path: str | Path) -> str:
    """Returns the hash of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def command(module: str, chosen: dict[str, Any]) -> str:
    """Returns the command that repeats a run. Files appear without their folders, which are private.

    Args:
        module: of the benchmark.
        chosen: its settings.
    """
    words = [f"{key}={Path(value).name if isinstance(value, str) else value}" for key, value in chosen.items()]
    return " ".join(["python -m", module, *(word for word in words if not word.endswith("="))])


def strict_json(value: Any) -> Any:
    """Returns the value with plain numbers, and None for NaN and infinity, which JSON lacks."""
    if isinstance(value, dict):
        return {str(key): strict_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [strict_json(item) for item in value]
    if isinstance(value, np.generic) or type(value).__name__ == "Tensor":
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_report(out: str | Path, report: dict[str, Any], markdown: str) -> None:
    """Writes the report as JSON and its table as Markdown, and prints the table.

    Args:
        out: path of the JSON. The Markdown has the same name with the suffix .md.
        report: anything that `strict_json` accepts.
        markdown: the table.
    """
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(strict_json(report), indent=1, allow_nan=False) + "\n")
    path.with_suffix(".md").write_text(markdown + "\n")
    print(markdown)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table; all columns but the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: Mapping[str, float | None] | None, digits: int, sign: str = "") -> str:
    """Returns a number with its bounds, as 1.23 [1.11, 1.35], or a dash.

    Args:
        value: mean or median, then optionally low and high bound.
        digits: after the point.
        sign: "+" for differences.
    """
    numbers = [number for number in (value or {}).values() if number is not None and np.isfinite(number)]
    middle, *bounds = (f"{number:{sign}.{digits}f}" for number in numbers) if numbers else ("–",)
    return f"{middle} [{bounds[0]}, {bounds[1]}]" if len(bounds) == 2 else middle
