"""Says where the time of a frame goes: py-spy samples the stacks of the main job, in all of its threads.

The time is that of threads: on two cores, two threads work for a frame. Imports, the loading of weights, and threads
that wait for other threads of the library do not count.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import common
from benchmarks.processes import job
from fewshot_heads.errors import BadInput

# Title -> modules, or functions in them. A stack belongs to the first stage that has one of its calls.
STAGES = {
    "portrait": ("reenactor.py:embed", "rendering/animation.py:__init__"),
    "watermark": ("media/watermark.py",),
    "encode": ("media/video_writer.py", "media/encoding.py"),
    "decode": ("media/video_reader.py", "media/timed_frames.py", "media/decoding.py"),
    "detect landmarks": ("landmarks/mediapipe.py",),
    "lids, eyes and mouth": ("rendering/face_parts.py",),
    "driver's mouth": ("driving/mouth_crop.py",),
    "turn the head": ("rendering/head_views.py:blend",),
    "body, background, back of the head": ("rendering/renderer.py:_behind",),
    "U-Net": ("models/network.py:__call__",),
    "warp and composite": ("imaging/compositing.py",),
    "paste back": ("rendering/paste_back.py",),
    "other rendering": ("rendering/",),
    "smooth, retarget": ("driving/",),
    "the rest": ("",),
}
LARGEST = 10  # functions in the second table
_PACKAGE, _RENDERING = "fewshot_heads/", "rendering/"
_LOADING = ("<frozen importlib", "importlib/", "benchmarks/main_job.py:load")
_WAITING = ("threading.py", "concurrent/", "multiprocessing/", "selectors.py")
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+?)(?::\d+)?\)")


class Samples(NamedTuple):
    """Samples of a run.

    Attributes:
        stages: title -> samples.
        functions: functions that work for the rendering -> samples in the function itself, and in torch, numpy or
            OpenCV as called from there.
    """

    stages: Counter[str]
    functions: Counter[str]


def check() -> None:
    """Raises BadInput if py-spy is not installed."""
    if _py_spy() is None:
        raise BadInput("py-spy is not installed: pip install py-spy, or leave the trace out with trace=0")


def _py_spy() -> str | None:
    return shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")


def traced(rate: int, cores: int, **arguments: Any) -> dict[str, Any]:
    """Runs the main job under py-spy; returns milliseconds of a thread for each frame, by stage and by function.

    Args:
        rate: samples a second.
        cores: number of cores; 0 for all.
        arguments: of the job `end_to_end`.

    Raises:
        BadInput: py-spy is not installed or may not read the process.
    """
    check()
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks.txt"
        # Threads in a call of OpenVINO look idle to py-spy. The process is not stopped for a sample.
        options = ["--subprocesses", "--idle", "--nonblocking", "--rate", str(rate), "--format", "raw"]
        profiler = [str(_py_spy()), "record", *options, "--output", str(stacks), "--"]
        run = job("end_to_end", cores, within=profiler, **arguments)
        if not stacks.is_file():
            raise BadInput("py-spy may not read a process here: allow ptrace, or leave the trace out with trace=0")
        samples = sampled(stacks.read_text().splitlines())
    ms = 1000 / rate / run["frames"]
    stages, functions = ({key: count * ms for key, count in counts.most_common()} for counts in samples)
    return {"stages": stages, "functions": functions}


def sampled(lines: Iterable[str]) -> Samples:
    """Returns the samples of stacks, each as `function (file:line);function (file:line) count`, the innermost last.

    Args:
        lines: what py-spy writes as its format raw.
    """
    samples = Samples(Counter(), Counter())
    for line in lines:
        stack, _, count = line.rpartition(" ")
        calls = list(_calls(stack))
        while calls and calls[-1].startswith(_WAITING):
            calls.pop()
            if calls and calls[-1].startswith(_PACKAGE):
                calls = []  # waits for other threads or processes of the library
        own = [call.removeprefix(_PACKAGE) for call in calls if call.startswith(_PACKAGE)]
        if not own or any(call.startswith(_LOADING) for call in calls):
            continue
        samples.stages[_stage(own)] += int(count)
        if any(call.startswith(_RENDERING) for call in own):
            samples.functions[own[-1]] += int(count)
    return samples


def _calls(stack: str) -> Iterator[str]:
    """Yields the calls of a stack as `file:function`, without the classes of methods."""
    for frame in stack.split(";"):
        if match := _FRAME.fullmatch(frame):
            yield f"{match['file']}:{match['function'].rpartition('.')[2]}"


def _stage(own: list[str]) -> str:
    """Returns the title of a stack's stage.

    Args:
        own: calls inside the package.
    """
    return next(title for title, places in STAGES.items() if any(call.startswith(places) for call in own))


def markdown(traces: dict[str, dict[str, Any]]) -> str:
    """Returns a table of stages and one of the largest functions of the rendering, one column a device.

    Args:
        traces: title of the device -> result of `traced`.
    """
    totals = {title: sum(trace["stages"].values()) for title, trace in traces.items()}
    functions: Counter[str] = Counter()
    for trace in traces.values():
        functions.update(trace["functions"])

    def row(kind: str, key: str) -> list[str]:
        ms = {title: trace[kind].get(key, 0.0) for title, trace in traces.items()}
        return [key, *(f"{value:.1f} ({100 * value / totals[title]:.0f} %)" for title, value in ms.items())]

    stages = [*(row("stages", title) for title in STAGES), ["together", *(f"{ms:.1f}" for ms in totals.values())]]
    largest = [row("functions", name) for name, _ in functions.most_common(LARGEST)]
    return f"""Where the time of a frame goes, milliseconds of a thread and share, without loading and waiting.

{common.table(["stage", *traces], stages)}

The {LARGEST} largest functions of the rendering, with what they call outside the package:

{common.table(["function", *traces], largest)}"""
