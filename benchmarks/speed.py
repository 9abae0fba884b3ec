"""Speed and memory of the main job, end to end and stage by stage, on this machine's processor.

python -m benchmarks.speed [driver=FILE] [source=FILE] [key=value ...]

driver    examples/driver.mp4      the clip that moves, repeated until it is long enough
source    examples/mona_lisa.jpg   the portrait
model     realtime                 a shipped preset, or a .safetensors file
seconds   10                       length of the short clip
long      300                      length of the long clip, for its memory; 0 leaves it out
threads   2,1                      cores to allow, with a comma between
repeats   3                        end-to-end runs of the short clip
out       benchmarks/results/speed.json, and the table beside it as .md
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from tqdm import tqdm

from benchmarks import common
from fewshot_heads.errors import BadInput

DEFAULTS = {
    "driver": "examples/driver.mp4",
    "source": "examples/mona_lisa.jpg",
    "model": "realtime",
    "seconds": 10.0,
    "long": 300.0,
    "threads": "2,1",
    "repeats": 3,
    "out": "benchmarks/results/speed.json",
}
STAGE_SECONDS = 5  # a stage is called for so long: 3 to 30 times, after one call of warm-up
CLOCK = "from time import time; start = time(); from fewshot_heads import Reenactor; print(time() - start)"
JOURNEY = "--journey"  # how this module calls itself: a run of its own has a memory peak and an import of its own
MEASURES = {  # of a journey -> what the table calls it, digits
    "fps": ("end to end, frames/s", 2),
    "load": ("load weights, s", 2),
    "first_frame": ("embed the portrait, then the first frame, s", 2),
    "peak_mib": ("peak memory, MiB", 0),
}


def spread(values: list[float]) -> dict[str, float]:
    """Median with the smallest and the largest."""
    return {"median": float(np.median(values)), "low": float(min(values)), "high": float(max(values))}


def timed(call: Callable[[], Any], frames: int) -> dict[str, float]:
    """Milliseconds a frame of a call that does that many frames, after a call of warm-up."""
    call()
    spans: list[float] = []
    end = time.perf_counter() + STAGE_SECONDS
    while len(spans) < 3 or (len(spans) < 30 and time.perf_counter() < end):
        start = time.perf_counter()
        call()
        spans.append((time.perf_counter() - start) * 1e3 / frames)
    return spread(spans)


def allow(cores: int) -> None:
    """Pins this process, the threads it starts and its children to that many cores, where the system can."""
    torch.set_num_threads(cores)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def peak_mib() -> float:
    """Peak resident memory of this process. On Linux ru_maxrss would count what the parent had at the fork."""
    if (status := Path("/proc/self/status")).exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    import resource  # not on Windows

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def journey(arguments: list[str]) -> dict[str, float]:
    """The main job once, in this process: read, landmarks, generator, paste back, write."""
    model, source, driver, out, cores = arguments
    allow(int(cores))
    start = time.perf_counter()
    library = common.Library(model)
    loaded = time.perf_counter()
    count, first = 0, loaded
    for count in library.main_job(source, driver, out):
        if count == 1:
            first = time.perf_counter()
    end = time.perf_counter()
    if count == 0:
        raise BadInput(f"{driver}: animate gave no frame")
    spans = {"load": loaded - start, "first_frame": first - loaded}
    return {"frames": count, "fps": count / (end - loaded), **spans, "peak_mib": peak_mib()}


def apart(*arguments: str) -> str:
    """The last line that a Python of its own prints. Raises BadInput with the last line of what it complained."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.split("Exception ignored")[0].strip()  # what an interpreter adds as it ends is no reason
        raise BadInput((said or f"a run of its own ended with code {done.returncode}").splitlines()[-1])
    return done.stdout.strip().splitlines()[-1]


def repeated(source: str, seconds: float, out: Path) -> Path:
    """The clip over and over until it is that long, sound and all; its packets are copied, not encoded anew."""
    end, tracks = Fraction(0), dict[int, Any]()
    with av.open(str(out), "w") as output:
        while end < seconds:
            with av.open(source) as clip:
                kept = [*clip.streams.video[:1], *clip.streams.audio[:1]]
                tracks = tracks or {stream.index: output.add_stream_from_template(stream) for stream in kept}
                packets: list[Any] = [packet for packet in clip.demux(kept) if None not in (packet.dts, packet.pts)]
                if not any(packet.duration for packet in packets):
                    raise BadInput(f"{source}: cannot be repeated, its packets have no times")
                # packets are stored before they are shown: each repetition begins after the last one's end
                shift = end and end - min(packet.dts * packet.time_base for packet in packets)
                for packet in packets:
                    packet.pts += round(shift / packet.time_base)
                    packet.dts += round(shift / packet.time_base)
                    start = packet.pts * packet.time_base
                    end = max(end, min(start + packet.duration * packet.time_base, Fraction(seconds)))
                    if start < seconds:
                        packet.stream = tracks[packet.stream.index]
                        output.mux(packet)
    return out


def markdown(report: dict[str, Any]) -> str:
    """The report's table, a column for each number of cores."""
    ends, stages = report["end_to_end"].values(), [report["stages"][n] for n in report["end_to_end"]]
    rows = []
    for measure, (title, digits) in MEASURES.items():
        rows.append([title, *(common.cell(spread([run[measure] for run in end["short"]]), digits) for end in ends)])
    if report["long_seconds"]:
        title = f"peak memory over {report['long_seconds']:g} s, MiB"
        rows.append([title, *(f"{end['long']['peak_mib']:.0f}" for end in ends)])
    for stage in stages[0]:
        rows.append([f"{stage}, ms/frame", *(common.cell(spans[stage], 1) for spans in stages)])
    cpu, version, cost = report["machine"]["cpu"], report["machine"]["torch"], report["generator"]
    caption = f"""{cpu}, torch {version}; median [smallest, largest]. Import: {report["import_seconds"]:.2f} s.
Generator: {cost["gflop"]:.2f} GFLOP a frame (a multiply-add is 2; convolutions and matrix products only),
{cost["generator"] / 1e6:.2f} M parameters; embedder {cost["embedder"] / 1e6:.2f} M parameters.

"""
    return caption + common.table(["", *(f"cores: {n}" for n in report["end_to_end"])], rows)


def main(argv: list[str]) -> None:
    if argv[:1] == [JOURNEY]:
        print(json.dumps(journey(argv[1:])))
        return
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "driver", "source")
    cores = chosen["threads"].split(",")
    if not all(n.isdigit() and int(n) for n in cores) or chosen["repeats"] < 1 or chosen["seconds"] <= 0:
        raise BadInput("threads, repeats and seconds must be 1 or more, as threads=2,1")
    report: dict[str, Any] = {"command": common.command("benchmarks.speed", chosen), "machine": common.machine()}
    report |= {
        "import_seconds": float(apart("-c", CLOCK)),
        "long_seconds": chosen["long"],
        "end_to_end": {},
        "stages": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), str(Path(name) / "out.mp4")
        short = repeated(chosen["driver"], chosen["seconds"], folder / "short.mp4")
        long = repeated(chosen["driver"], chosen["long"], folder / "long.mp4") if chosen["long"] else None

        def run(driver: Path, n: str) -> dict[str, float]:
            words = [JOURNEY, chosen["model"], chosen["source"], str(driver), out, n]
            return json.loads(apart("-m", "benchmarks.speed", *words))

        for n in cores:
            runs = [run(short, n) for _ in tqdm(range(chosen["repeats"]), f"{n} cores", disable=None)]
            report["end_to_end"][n] = {"short": runs} | ({"long": run(long, n)} if long else {})
    for n in sorted(cores, key=int, reverse=True):  # cores once given up stay so: the most first
        allow(int(n))
        library = common.Library(chosen["model"])  # anew, for its threads to start on these cores
        prepared = library.stages(chosen["source"], chosen["driver"]).items()
        report["stages"][n] = {stage: timed(*work) for stage, work in tqdm(prepared, unit="stage", disable=None)}
    report["weights"], report["generator"] = library.weights, library.generator_cost()
    common.write_report(chosen["out"], report, markdown(report))


if __name__ == "__main__":
    common.run(main, __doc__)
