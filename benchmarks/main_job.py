"""The main job: a portrait, animated by a clip with default options."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from benchmarks.timing import peak_mib
from fewshot_heads import BadInput, Reenactor, VideoWriter, read_video
from fewshot_heads.cli.conf_files import CONF_DIR
from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.driver_tracking import tracked_meanwhile


def load(model: str, device: str = "cpu") -> Reenactor:
    """Returns a model on a device.

    Args:
        model: a shipped preset, a .safetensors file, or a preset of conf/model, then with random weights (seed 0).
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        BadInput: there is no such model.
    """
    preset = CONF_DIR / "model" / f"{model}.yaml"
    try:
        return Reenactor.from_pretrained(model, device)
    except BadInput:
        if not preset.is_file():
            raise
    import torch  # with weights of a preset that is shipped, nothing needs it

    from fewshot_heads.models.building import build
    from fewshot_heads.models.checkpoint import Checkpoint

    torch.manual_seed(0)
    spec = load_config("meta_learn", [f"model={model}"])["model"]
    networks = build(spec).eval().requires_grad_(False)
    return Reenactor(Checkpoint(model, "", {"spec": spec}, preset, networks), device)


def main_job(model: str, source: str, driver: str, out: str, device: str) -> Iterator[int]:
    """Animates a portrait with default options, as `animate` does; yields the number of frames written so far."""
    video = read_video(driver)
    reenactor = load(model, device)
    yield 0
    with tracked_meanwhile(reenactor, video, load_config("animate")) as tracked:
        head = reenactor.embed([source])
        reenactor.renderer(head)
        motion = tracked()
    with VideoWriter(out, like=video, overwrite=True) as writer:
        for count, frame in enumerate(reenactor.animate(head, motion), 1):
            writer.add(frame)
            yield count


def end_to_end(model: str, source: str, driver: str, out: str, device: str, launched: float) -> dict[str, float]:
    """Returns times and memory of one main job: read, landmarks, generator, paste back, write.

    Args:
        model: see `load`.
        source: path of the portrait.
        driver: path of the clip.
        out: path of the video.
        device: "auto", "cpu", "cuda" or "mps".
        launched: `time.time()` before this process was started.
    """
    frames = main_job(model, source, driver, out, device)
    count, loaded = next(frames), time.perf_counter()
    start_seconds, first_frame = time.time() - launched, loaded
    for count in frames:
        if count == 1:
            first_frame = time.perf_counter()
    end, memory = time.perf_counter(), {"peak_mib": peak_mib()}
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        memory["peak_device_mib"] = torch.cuda.max_memory_allocated() / 2**20
    times = {"fps": count / (end - loaded), "start": start_seconds, "first_frame": first_frame - loaded}
    return {"frames": count, **times, **memory}
