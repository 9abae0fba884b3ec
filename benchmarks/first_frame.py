"""How long the command `animate` takes from the shell to its first frame."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from fewshot_heads.errors import BadInput
from fewshot_heads.models.weights_file import read_weights

# The command, in a process that tells when the first frame is written.
_COMMAND = """
import os, runpy, sys, time
launched, cores = float(sys.argv[1]), int(sys.argv[2])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
from fewshot_heads.media.video_writer import VideoWriter
add, times = VideoWriter.add, []
def timed(*arguments):
    times.append(time.time())
    add(*arguments)
VideoWriter.add = timed
sys.argv[1:] = sys.argv[3:]
try:
    runpy.run_module("fewshot_heads.animate", run_name="__main__")
finally:
    print(times[0] - launched)
"""


def first_frame(cores: int, arguments: Sequence[str]) -> float:
    """Returns the seconds from the launch of the command to its first frame. Raises CalledProcessError if it fails.

    Args:
        cores: number of cores.
        arguments: of the command.
    """
    command = [sys.executable, "-c", _COMMAND, str(time.time()), str(cores), *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def first_frames(model: str, arguments: Sequence[str], cores: int, repeats: int) -> list[dict[str, float]]:
    """Returns "from_shell" -> seconds, as `first_frame`, of each run; nothing for a model without weights.

    Args:
        model: a shipped preset or a .safetensors file.
        arguments: of the command.
        cores: number of cores.
        repeats: number of runs.
    """
    with suppress(BadInput):
        read_weights(model)
        return [{"from_shell": first_frame(cores, [*arguments, f"model={model}"])} for _ in range(repeats)]
    return [{}] * repeats
