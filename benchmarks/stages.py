"""Measures the main job and its stages in this process, which `benchmarks.speed` starts.

python -m benchmarks.stages JOB CORES ARGUMENTS

JOB is `end_to_end`, `live` or `stage_times`, CORES the number of cores (0 for all), ARGUMENTS those of the job, as
JSON.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.live import live
from benchmarks.main_job import end_to_end, load
from benchmarks.timing import allow, timed
from fewshot_heads import Reenactor, VideoWriter, read_image, read_video
from fewshot_heads.cli.memory import share_heap
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.imaging.compositing import WarpInputs, correct
from fewshot_heads.imaging.warping import grid_positions
from fewshot_heads.rendering.face_parts import apply_face_parts
from fewshot_heads.rendering.head_surface import CELLS
from fewshot_heads.rendering.paste_back import Paster
from fewshot_heads.rendering.renderer import HeadRenderer, rasterize_landmarks

Work = tuple[Callable[[], Any], int]  # a call, and the number of frames it handles
COMPARED = (1, 4)  # batch sizes at which models are compared
CLIP_FRAMES = 30  # of a call of the stages that take a clip


def pipeline(reenactor: Reenactor, source: str, driver: str, batches: Sequence[int]) -> dict[str, Work]:
    """Returns each stage of the main job, in its order; the title names the unit.

    Args:
        reenactor: the model.
        source: path of the portrait. Its size is the size of the output.
        driver: path of the clip. The first 30 frames are used.
        batches: frames a call of the generator.
    """
    portrait, video = read_image(source), read_video(driver)
    head, frames = reenactor.embed([portrait]), list(islice(video, CLIP_FRAMES))
    motion, paster = reenactor.track(frames), Paster(head.picture, head.crop, head.person)
    driver_faces = motion.cropped(reenactor.size)[:]  # lists, because the sequences compute on access
    faces = retarget(head.landmarks[0], driver_faces)[:]
    renderer = HeadRenderer(head, reenactor.generator)
    crops = np.repeat(head.textures[:1], len(faces), 0)

    def turn_heads() -> None:
        for face in faces:
            renderer.views.blend(face)

    def apply_parts() -> None:
        visibility = [renderer.visibility(face) for face in faces]
        apply_face_parts(crops, faces, visibility, reenactor.size, motion.mouths)

    def encode() -> None:
        with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "out.mp4", like=video.rate) as out:
            for _ in frames:
                out.add(head.picture)

    return {
        "decode, ms/frame": (lambda: list(islice(video, len(frames))), len(frames)),
        "detect landmarks, ms/frame": (lambda: reenactor.track(frames), len(frames)),
        "retarget, ms/frame": (lambda: retarget(head.landmarks[0], driver_faces)[:], len(driver_faces)),
        "turn the head, ms/frame": (turn_heads, len(faces)),
        "raster, ms/frame": (lambda: rasterize_landmarks(faces, reenactor.size), len(faces)),
        "embed, ms/portrait": (lambda: reenactor.embed([portrait]), 1),
        **generator(reenactor, batches),
        "lids and mouth, ms/frame": (apply_parts, len(faces)),
        "paste back, ms/frame": (lambda: paster.paste(head.textures[0]), 1),
        "encode, ms/frame": (encode, len(frames)),
    }


def generator(reenactor: Reenactor, batches: Sequence[int]) -> dict[str, Work]:
    """Returns a stage with generator and compositing for each batch size."""
    return {batch_title(batch): (generator_call(reenactor, batch), batch) for batch in batches}


def batch_title(batch: int) -> str:
    """Returns the title of the generator's stage at a batch size."""
    return f"generator, batch {batch}, ms/frame"


def generator_call(reenactor: Reenactor, batch: int) -> Callable[[], np.ndarray]:
    """Returns a call that renders [batch, 3, S, S] from random images.

    Args:
        reenactor: the networks.
        batch: frames a call.
    """
    generator, (style, stickman, inputs) = reenactor.generator, _random_inputs(reenactor, batch)
    small = inputs._replace(images=inputs.images[..., ::2, ::2], background=inputs.background[..., ::2, ::2])

    def call() -> np.ndarray:
        if not generator.textured:
            return generator(stickman, style)[0]
        return correct(generator, stickman, style, small).composite(inputs)

    return call


def _random_inputs(reenactor: Reenactor, batch: int) -> tuple[np.ndarray, np.ndarray, WarpInputs]:
    """Returns the style, the stickmen, and random pixels of one source image."""
    random, size = np.random.default_rng(0), reenactor.size
    source, stickman = (random.random((2, batch, size, size, 3), np.float32) * 2 - 1).transpose(0, 1, 4, 2, 3)
    _, style = reenactor.embedder(source[:1, None], stickman[:1, None])
    views = random.random((batch, 2, size, size, 4), np.float32).transpose(0, 1, 4, 2, 3)
    flows = np.broadcast_to(grid_positions(CELLS), (batch, 2, CELLS, CELLS, 2))
    weights = np.full((batch, 2, CELLS, CELLS), 0.5, np.float32)
    texture = WarpInputs(views, flows, weights, weights[:, :1], source, np.zeros((batch, 1, size, size), np.float32))
    return style.repeat(batch, 0), stickman, texture


def cost(reenactor: Reenactor) -> dict[str, Any]:
    """Returns the weights, GFLOP a frame, and parameters of both networks.

    torch's FlopCounterMode counts a multiply-add as 2. It sees only what torch computes.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode  # imports 77 MiB, which are not the library's

    networks, (style, stickman, pixels) = reenactor.checkpoint.networks, _random_inputs(reenactor, 1)
    device = next(networks.parameters()).device

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    texture = [WarpInputs(*map(tensor, pixels))] if reenactor.generator.textured else []
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        networks.generator(tensor(stickman), tensor(style), *texture)
    parameters = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.named_children()}
    about = {"weights": {"name": reenactor.weights.name, "sha256": reenactor.weights.sha256 or None}}
    return about | {"gflop": counter.get_total_flops() / 1e9, "parameters": parameters}


def stage_times(
    models: list[str], source: str, driver: str, batches: list[int], device: str, seconds: float
) -> dict[str, dict[str, Any]]:
    """Returns model -> "cost" and "ms": of all stages of the first model, and of the generator of the others.

    Args:
        models: see `load`.
        source: path of the portrait.
        driver: path of the clip.
        batches: frames a call of the generator.
        device: "auto", "cpu", "cuda" or "mps".
        seconds: see `timed`.
    """
    result = {}
    for model in models:
        reenactor = load(model, device)
        if model == models[0]:
            stages = pipeline(reenactor, source, driver, batches)
        else:
            stages = generator(reenactor, [batch for batch in COMPARED if batch in batches])
        ms = {stage: timed(*work, seconds) for stage, work in stages.items()}
        result[Path(model).stem] = {"cost": cost(reenactor), "ms": ms}
    return result


def main(argv: list[str]) -> None:
    """Runs one job and prints its result as JSON."""
    name, cores, arguments = argv
    jobs: dict[str, Callable[..., dict[str, Any]]] = {
        "end_to_end": end_to_end,
        "live": lambda model, device, **inputs: live(load(model, device), **inputs),
        "stage_times": stage_times,
    }
    if int(cores):
        allow(int(cores))
    share_heap()  # as every command does
    print(json.dumps(jobs[name](**json.loads(arguments))))


if __name__ == "__main__":
    common.run(main, __doc__)
