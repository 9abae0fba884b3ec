"""The main job and its parts, measured in this process; `benchmarks.speed` starts one for each measurement.

python -m benchmarks.stages JOB CORES ARGUMENTS

JOB is `journey` or `parts`, CORES how many to use (0: as many as there are), ARGUMENTS the job's own, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import common
from fewshot_heads import BadInput, Reenactor, VideoWriter, read_image, read_video
from fewshot_heads.cli.config import CONF_DIR, load_config
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.imaging.warping import tps_flow_from_landmarks
from fewshot_heads.landmarks import N_POINTS, N_SURFACE
from fewshot_heads.landmarks.pose import HEAD_ANCHORS
from fewshot_heads.models import build
from fewshot_heads.models.checkpoint import Checkpoint, load_checkpoint
from fewshot_heads.models.compositing import WarpInputs
from fewshot_heads.rendering.face_parts import apply_face_parts
from fewshot_heads.rendering.paste_back import Paster
from fewshot_heads.rendering.renderer import HeadRenderer, rasterize_landmarks

Work = tuple[Callable[[], Any], int]  # a call, and how many frames it does
COMPARED = (1, 4)  # batch sizes at which models are compared
CLIP = 30  # frames a call of the stages that take a clip


def load(model: str, device: str = "cpu") -> Reenactor:
    """model: a shipped preset, a .safetensors file, or a preset of conf/model, then with random weights (seed 0)."""
    preset = CONF_DIR / "model" / f"{model}.yaml"
    try:
        return Reenactor(load_checkpoint(model), device)
    except BadInput:
        if not preset.is_file():
            raise
    torch.manual_seed(0)
    spec = load_config("meta_learn", [f"model={model}"])["model"]
    networks = build(spec).eval().requires_grad_(False)
    return Reenactor(Checkpoint(networks, model, "", {"spec": spec}, preset), device)


def main_job(reenactor: Reenactor, source: str, driver: str, out: str) -> Iterator[int]:
    """A portrait and a clip in, a video out, all options as they come; yields the frames written so far."""
    head, video = reenactor.embed([source]), read_video(driver)
    with VideoWriter(out, like=video, overwrite=True) as writer:
        for count, frame in enumerate(reenactor.animate(head, video), 1):
            writer.add(frame)
            yield count


def pipeline(reenactor: Reenactor, source: str, driver: str, batches: Sequence[int]) -> dict[str, Work]:
    """Each part of the main job, in its order, on the driver's first frames and at the portrait's size.

    A name says in what its milliseconds are counted.
    """
    portrait, video = read_image(source), read_video(driver)
    head, frames = reenactor.embed([portrait]), list(islice(video, CLIP))
    motion, paster = reenactor.track(frames), Paster(head.picture, head.crop)
    moves = motion.cropped(reenactor.size)
    faces = retarget(head.landmarks[0], moves)
    painter = HeadRenderer(head, reenactor.networks.generator, reenactor.size, reenactor.device)
    shown = np.repeat(head.textures[:1], len(faces), 0)

    def finish() -> None:
        apply_face_parts(shown, faces, [painter.visibility(face) for face in faces], reenactor.size, motion.mouths)

    def encode() -> None:
        with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "out.mp4", like=video.rate) as out:
            for _ in frames:
                out.add(head.picture)

    return {
        "decode, ms/frame": (lambda: list(islice(video, len(frames))), len(frames)),
        "detect landmarks, ms/frame": (lambda: reenactor.track(frames), len(frames)),
        "retarget, ms/frame": (lambda: retarget(head.landmarks[0], moves), len(moves)),
        "raster, ms/frame": (lambda: rasterize_landmarks(faces, reenactor.size), len(faces)),
        "embed, ms/portrait": (lambda: reenactor.embed([portrait]), 1),
        **generator(reenactor, batches),
        "lids and mouth, ms/frame": (finish, len(faces)),
        "paste back, ms/frame": (lambda: paster.paste(head.textures[0]), 1),
        "encode, ms/frame": (encode, len(frames)),
    }


def generator(reenactor: Reenactor, batches: Sequence[int]) -> dict[str, Work]:
    """The flow and the generator, at each of the batch sizes."""
    return {batch_title(batch): (painting(reenactor, batch), batch) for batch in batches}


def batch_title(batch: int) -> str:
    return f"generator, batch {batch}, ms/frame"


def painting(reenactor: Reenactor, batch: int) -> Callable[[], torch.Tensor]:
    """A call that makes `batch` frames [batch, 3, S, S] of random pictures that lie on the device already."""
    networks, device, size = reenactor.networks, reenactor.device, reenactor.size
    random = torch.Generator().manual_seed(0)
    source, stickman = (torch.rand(2, batch, 3, size, size, generator=random) * 2 - 1).to(device)
    # The spline is solved where `HeadRenderer` does: on the CPU.
    count = N_POINTS + len(HEAD_ANCHORS) + N_SURFACE
    points = torch.rand(batch, count, 3, generator=random)
    points[..., :2] = size * (0.6 * points[..., :2] + 0.2)
    moved = points * torch.tensor([0.97, 0.97, 1.0])
    with torch.inference_mode():
        style = networks.generator.project(networks.embedder(source[:1, None], stickman[:1, None]).mean(1))
    style, weights = style.expand(batch, -1), source.new_ones(batch, 1)
    nothing = source.new_zeros(batch, 1, size, size)

    @torch.inference_mode()
    def call() -> torch.Tensor:
        if not networks.generator.textured:
            return networks.generator(stickman, style)
        flows = tps_flow_from_landmarks(points, moved, size)[:, None].to(device)
        texture = WarpInputs(source[:, None], nothing[:, None] + 1, flows, weights, source, nothing, nothing, nothing)
        return networks.generator(stickman, style, texture)

    return call


def cost(reenactor: Reenactor) -> dict[str, Any]:
    """The weights; GFLOP of a frame by torch's FlopCounterMode, a multiply-add being 2; parameters of both networks."""
    checkpoint, call = reenactor.checkpoint, painting(reenactor, 1)
    with FlopCounterMode(display=False) as counter:
        call()
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in reenactor.networks.named_children()}
    weights = {"name": checkpoint.name, "sha256": checkpoint.sha256 or None}
    return {"weights": weights, "gflop": counter.get_total_flops() / 1e9, "parameters": parameters}


def waiter(device: torch.device) -> Callable[[], None]:
    """A call that returns when the device has done all it was given."""
    return {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(device.type, lambda: None)


def spread(values: list[float]) -> dict[str, float]:
    """Median with the smallest and the largest."""
    return {"median": float(np.median(values)), "low": float(min(values)), "high": float(max(values))}


def timed(call: Callable[[], Any], frames: int, seconds: float, wait: Callable[[], None]) -> dict[str, float]:
    """Milliseconds a frame of a call that does that many frames, after a call of warm-up.

    seconds: how long it is repeated, 3 to 30 times; wait: returns when the device has done all it was given.
    """
    call()
    wait()
    spans: list[float] = []
    end = time.perf_counter() + seconds
    while len(spans) < 3 or (len(spans) < 30 and time.perf_counter() < end):
        start = time.perf_counter()
        call()
        wait()
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


def journey(model: str, source: str, driver: str, out: str, device: str, launched: float) -> dict[str, float]:
    """The main job once, in this process: read, landmarks, generator, paste back, write.

    launched: `time.time()` of the moment before this process was.
    """
    reenactor = load(model, device)
    waiter(reenactor.device)()
    started, loaded = time.time() - launched, time.perf_counter()
    count, first = 0, loaded
    for count in main_job(reenactor, source, driver, out):
        if count == 1:
            first = time.perf_counter()
    end = time.perf_counter()
    memory = {"peak_mib": peak_mib()}
    if reenactor.device.type == "cuda":
        memory["peak_device_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return {"frames": count, "fps": count / (end - loaded), "start": started, "first_frame": first - loaded, **memory}


def parts(
    models: list[str], source: str, driver: str, batches: list[int], device: str, seconds: float
) -> dict[str, dict[str, Any]]:
    """Model -> its "cost" and "ms", of every stage for the first and of its generator alone for the others."""
    result = {}
    for model in models:
        reenactor = load(model, device)
        if model == models[0]:
            works = pipeline(reenactor, source, driver, batches)
        else:
            works = generator(reenactor, [batch for batch in COMPARED if batch in batches])
        wait = waiter(reenactor.device)
        ms = {stage: timed(*work, seconds, wait) for stage, work in works.items()}
        result[Path(model).stem] = {"cost": cost(reenactor), "ms": ms}
    return result


def main(argv: list[str]) -> None:
    name, cores, arguments = argv
    jobs: dict[str, Callable[..., dict[str, Any]]] = {"journey": journey, "parts": parts}
    if int(cores):
        allow(int(cores))
    torch.manual_seed(0)
    print(json.dumps(jobs[name](**json.loads(arguments))))


if __name__ == "__main__":
    common.run(main, __doc__)
