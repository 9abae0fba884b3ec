"""Measures speed and memory of the main job, end to end and stage by stage.

python -m benchmarks.speed [driver=FILE] [source=FILE] [key=value ...]

driver         examples/driver.mp4      the clip that moves, repeated until it is long enough
source         examples/mona_lisa.jpg   the portrait
models         realtime,paper           shipped presets, .safetensors files, or presets of conf/model, which then have
                                        random weights; the first does everything, the others their generator alone
seconds        10                       length of the short clip
long           300                      length of the long clip, for its memory; 0 leaves it out
threads        2,1                      cores to allow, a column each
batches        1,2,4,8,16,32,64         frames a call of the generator; models after the first have 1 and 4 of these
device         auto                     auto (the processor, and CUDA or MPS if there is one), cpu, cuda or mps
repeats        3                        runs of the short clip, and of the import
live           25                       frames a second of a camera, for a live session; 0 leaves it out
trace          100                      samples a second of a run that shows where time goes (py-spy); 0 leaves it out
stage_seconds  5                        how long a stage is repeated: 3 to 30 times, after one call of warm-up
out            benchmarks/results/speed.json, and the table beside it as .md
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from tqdm import tqdm

from benchmarks import common, trace
from benchmarks.first_frame import first_frames
from benchmarks.live import MEASURES as LIVE
from benchmarks.live import camera_clip
from benchmarks.processes import in_new_process, job
from benchmarks.stages import COMPARED, batch_title
from benchmarks.timing import spread
from fewshot_heads.errors import BadInput
from fewshot_heads.models.checkpoint import pick_device

DEFAULTS = {
    "driver": "examples/driver.mp4",
    "source": "examples/mona_lisa.jpg",
    "models": "realtime,paper",
    "seconds": 10.0,
    "long": 300.0,
    "threads": "2,1",
    "batches": "1,2,4,8,16,32,64",
    "device": "auto",
    "repeats": 3,
    "live": 25.0,
    "trace": 100,
    "stage_seconds": 5.0,
    "out": "benchmarks/results/speed.json",
}
IMPORT_CLOCK = "from time import time; start = time(); from fewshot_heads import Reenactor; print(time() - start)"
MEASURES = {  # of a run end to end -> title in the table, digits
    "fps": ("end to end, frames/s", 2),
    "start": ("start: interpreter, imports, weights, s", 2),
    "first_frame": ("then to the first frame: portrait, landmarks of the clip, a batch, s", 2),
    "from_shell": ("first frame of the command `animate`, from the shell, s", 2),
    "peak_mib": ("peak memory of all processes, MiB", 0),
    "peak_device_mib": ("peak memory on the device, MiB", 0),
}


def repeated(source: str, seconds: float, out: Path) -> Path:
    """Repeats a clip with its sound to a length, without encoding.

    Args:
        source: the clip.
        seconds: length of the result.
        out: path of the result.

    Raises:
        BadInput: the packets of the clip have no times.
    """
    end, tracks = Fraction(0), dict[int, Any]()
    with av.open(str(out), "w") as output:
        while end < seconds:
            with av.open(source) as clip:
                kept = [*clip.streams.video[:1], *clip.streams.audio[:1]]
                tracks = tracks or {stream.index: output.add_stream_from_template(stream) for stream in kept}
                packets: list[Any] = [packet for packet in clip.demux(kept) if None not in (packet.dts, packet.pts)]
                if not any(packet.duration for packet in packets):
                    raise BadInput(f"{source}: cannot be repeated, its packets have no times")
                # packets are stored before their display time: a repetition begins after the end of the previous one
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


def numbers(chosen: dict[str, Any], key: str) -> list[int]:
    """Returns the whole numbers of a setting. Raises BadInput."""
    words = chosen[key].split(",")
    if not all(word.isdecimal() and int(word) for word in words):
        raise BadInput(f"{key}={chosen[key]}: expected whole numbers from 1 up, as {key}={DEFAULTS[key]}")
    return [int(word) for word in words]


def columns(threads: list[int], device: str) -> dict[str, dict[str, Any]]:
    """Returns title -> cores and device, for each number of cores and the accelerator.

    Args:
        threads: numbers of cores.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        BadInput: this process may not use so many cores.
    """
    accelerator, cores = pick_device(device).type, common.machine()["cores"]
    result: dict[str, dict[str, Any]] = {}
    if device in ("auto", "cpu"):
        if max(threads) > cores:
            raise BadInput(f"threads={max(threads)}: this process may use {cores}; use threads={cores}")
        result = {f"cores: {count}": {"cores": count, "device": "cpu"} for count in threads}
    return result if accelerator == "cpu" else result | {accelerator: {"cores": 0, "device": device}}


def rows_of(report: dict[str, Any]) -> Iterable[list[str]]:
    """Yields the rows of the first table: end to end, then the stages."""
    runs_of_columns = report["end_to_end"].values()
    for measure, (title, digits) in MEASURES.items():
        if any(measure in run for runs in runs_of_columns for run in runs["short"]):
            spreads = [spread([run.get(measure, np.nan) for run in runs["short"]]) for runs in runs_of_columns]
            yield [title, *(common.cell(values, digits) for values in spreads)]
    for measure, (title, digits) in LIVE.items() if report["live_rate"] else ():
        spreads = [spread([run.get(measure, np.nan) for run in runs["live"]]) for runs in runs_of_columns]
        yield [f"{title} ({report['live_rate']:g} from the camera)", *(common.cell(v, digits) for v in spreads)]
    if report["long_seconds"]:
        title = f"peak memory over {report['long_seconds']:g} s, MiB"
        yield [title, *(f"{runs['long']['peak_mib']:.0f}" for runs in runs_of_columns)]
    model = next(iter(report["models"].values()))
    for stage in next(iter(model["ms"].values())):
        yield [stage, *(common.cell(ms[stage], 1) for ms in model["ms"].values())]


def markdown(report: dict[str, Any]) -> str:
    """Returns the table of stages, one column a device, and the table of models."""
    machine, devices = report["machine"], list(report["end_to_end"])
    versions = [f"{name} {machine[name]}" for name in ("openvino", "torch")]
    hardware = ", ".join([machine["cpu"], *filter(None, [machine["accelerator"]]), *versions])
    compared = [(batch, device) for batch in COMPARED if batch in report["batches"] for device in devices]
    models = []
    for name, model in report["models"].items():
        cost = model["cost"]
        title = name if cost["weights"]["sha256"] else f"{name} (random weights)"
        counts = [f"{cost['gflop']:.2f}", *(f"{cost['parameters'][n] / 1e6:.2f}" for n in ("generator", "embedder"))]
        cells = [common.cell(model["ms"][device][batch_title(batch)], 1) for batch, device in compared]
        models.append([title, *counts, *cells])
    header = ["", "GFLOP/frame", "generator, M parameters", "embedder, M parameters"]
    header += [f"batch {batch}, {device}, ms/frame" for batch, device in compared]
    tables = f"""{hardware}; median [smallest, largest]; model: {next(iter(report["models"]))}.
Import in a fresh interpreter: {common.cell(report["import_seconds"], 2)} s.

{common.table(["", *devices], rows_of(report))}

A multiply-add is 2 FLOP; convolutions and matrix products only.

{common.table(header, models)}"""
    return f"{tables}\n\n{trace.markdown(report['trace'])}" if report["trace"] else tables


def main(argv: list[str]) -> None:
    """Measures everything and writes the report."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "driver", "source")
    threads, batches, models = numbers(chosen, "threads"), numbers(chosen, "batches"), chosen["models"].split(",")
    for key in ("repeats", "seconds"):
        if chosen[key] <= 0:
            raise BadInput(f"{key}={chosen[key]}: expected more than 0")
    if chosen["trace"] > 0:
        trace.check()
    devices = columns(threads, chosen["device"])
    accelerator = torch.cuda.get_device_name() if "cuda" in devices else None
    imports = [float(in_new_process("-c", IMPORT_CLOCK)[0]) for _ in range(chosen["repeats"] + 1)]
    del imports[0]  # the first one fills the disk's cache
    report: dict[str, Any] = {
        "command": common.command("benchmarks.speed", chosen),
        "machine": common.machine() | {"accelerator": accelerator},
        "import_seconds": spread(imports),
        "long_seconds": chosen["long"],
        "live_rate": chosen["live"],
        "batches": batches,
        "end_to_end": {},
        "trace": {},
        "models": {},
    }
    inputs = {"source": chosen["source"], "driver": chosen["driver"]}
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), str(Path(name) / "out.mp4")
        short = repeated(chosen["driver"], chosen["seconds"], folder / "short.mp4")
        long = repeated(chosen["driver"], chosen["long"], folder / "long.mp4") if chosen["long"] else None
        camera = camera_clip(short, folder / "camera.mp4", chosen["live"]) if chosen["live"] else None

        def arguments_of(driver: Path, device: dict[str, Any]) -> dict[str, Any]:
            files = inputs | {"driver": str(driver), "out": out}
            return {"model": models[0], "launched": time.time(), **files, **device}

        for title, device in devices.items():
            repeats = tqdm(range(chosen["repeats"]), title, disable=None)
            runs = [job("end_to_end", **arguments_of(short, device)) for _ in repeats]
            if device["cores"]:  # the command itself, without an accelerator
                command = [chosen["source"], str(short), "-o", out, "--overwrite"]
                seconds = first_frames(models[0], command, device["cores"], chosen["repeats"])
                runs = [run | of_command for run, of_command in zip(runs, seconds, strict=True)]
            report["end_to_end"][title] = {"short": runs}
            if long:
                report["end_to_end"][title]["long"] = job("end_to_end", **arguments_of(long, device))
            if chosen["trace"] > 0:
                report["trace"][title] = trace.traced(chosen["trace"], **arguments_of(short, device))
            if camera:
                arguments = {"model": models[0], "source": chosen["source"], "camera": str(camera)}
                sessions = [job("live", **arguments, **device) for _ in range(chosen["repeats"])]
                report["end_to_end"][title]["live"] = sessions
    for title, device in tqdm(devices.items(), "stages", disable=None):
        arguments = {"models": models, "batches": batches, "seconds": chosen["stage_seconds"]}
        for model, times in job("stage_times", **inputs, **arguments, **device).items():
            about = report["models"].setdefault(model, {"cost": times["cost"], "ms": {}})
            about["ms"][title] = times["ms"]
    common.write_report(chosen["out"], report, markdown(report))


if __name__ == "__main__":
    common.run(main, __doc__)
