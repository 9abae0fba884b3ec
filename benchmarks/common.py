"""What both benchmarks share: settings, statistics, the report, and every call into the library's networks."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from fewshot_heads.errors import BadInput, FewshotHeadsError


def settings(defaults: dict[str, Any], argv: Sequence[str]) -> dict[str, Any]:
    """`key=value` arguments over the defaults, each of its default's type; a value may hold anything, `=` too."""
    chosen = dict(defaults)
    for argument in argv:
        key, equals, value = argument.partition("=")
        if not equals or key not in defaults:
            near = difflib.get_close_matches(key, defaults, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(defaults)}"
            raise BadInput(f"unknown setting {argument!r}; {hint}")
        try:
            chosen[key] = type(defaults[key])(value)
        except ValueError as error:
            raise BadInput(f"{key}={value!r} is not of type {type(defaults[key]).__name__}") from error
    return chosen


def check_paths(chosen: dict[str, Any], *keys: str) -> None:
    """Raises BadInput for a setting that names nothing that exists."""
    for key in keys:
        if not chosen[key] or not Path(chosen[key]).exists():
            raise BadInput(f"{key}={chosen[key]}: give a path that exists; see --help")


def run(main: Callable[[list[str]], None], documentation: str | None) -> None:
    """A benchmark's command line: --help shows its module's docstring; a user's error is one line and exit code 1."""
    if any(argument in ("-h", "--help") for argument in sys.argv[1:]):
        print(documentation)
        return
    try:
        main(sys.argv[1:])
    except FewshotHeadsError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean of the finite values; NaN if there are none."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")


def bootstrap(values: Iterable[float], resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean; NaN values are left out, and no values give NaN bounds."""
    known = np.array([value for value in values if np.isfinite(value)], dtype=np.float64)
    if len(known) == 0:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    means = known[random.integers(0, len(known), (resamples, len(known)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def machine() -> dict[str, Any]:
    """The processor, the cores this process may use, and the versions that matter."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    return {"cpu": cpu, "cores": cores, "system": platform.system(), "python": platform.python_version(), **versions}


def sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def command(module: str, chosen: dict[str, Any]) -> str:
    """The command that repeats this run, its files by name alone: where they lie is nobody's business."""
    words = [f"{key}={Path(value).name if isinstance(value, str) else value}" for key, value in chosen.items()]
    return " ".join(["python -m", module, *(word for word in words if not word.endswith("="))])


def strict_json(value: Any) -> Any:
    """The same value with plain numbers, and null for what JSON cannot say (NaN, infinity)."""
    if isinstance(value, dict):
        return {str(key): strict_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [strict_json(item) for item in value]
    if isinstance(value, (np.generic, torch.Tensor)):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_report(out: str | Path, report: dict[str, Any], markdown: str) -> None:
    """The report as strict JSON at `out`, its table beside it as .md, and the table on stdout."""
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(strict_json(report), indent=1, allow_nan=False) + "\n")
    path.with_suffix(".md").write_text(markdown + "\n")
    print(markdown)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: dict[str, float], digits: int) -> str:
    """A mean or median with its low and high bounds, as 1.23 [1.11, 1.35]; a dash where there is no number."""
    middle, low, high = (f"{number:.{digits}f}" for number in value.values())
    return f"{middle} [{low}, {high}]" if middle != "nan" else "–"


class Library:
    """The library as the benchmarks see it. Pictures are uint8 [S,S,3] and already the crop, unless said otherwise."""

    def __init__(self, model: str = "realtime") -> None:
        """model: a shipped preset or the path of a .safetensors."""
        from fewshot_heads import Reenactor
        from fewshot_heads.landmarks import detector

        self.reenactor = Reenactor.from_pretrained(model)
        self.detector = detector("mediapipe")

    @property
    def weights(self) -> dict[str, str]:
        """The name and the hash of the model's weights."""
        return {"name": self.reenactor.checkpoint.name, "sha256": self.reenactor.checkpoint.sha256}

    def landmarks(self, picture: np.ndarray) -> Any | None:
        """The largest face's Landmarks, or None."""
        return next(iter(self.detector.detect(picture)), None)

    def animate(self, sources: list[np.ndarray], frames: Iterable[np.ndarray], motion: str) -> Iterator[np.ndarray]:
        """The sources' person moved by the frames, one result [S,S,3] a frame."""
        head = self.reenactor.embed(sources, crop="full")
        return iter(self.reenactor.animate(head, frames, motion=motion, paste_back=False, crop="full"))

    def main_job(self, source: str, driver: str, out: str) -> Iterator[int]:
        """A portrait and a clip in, a video out, all options as they come; yields the frames written so far."""
        from fewshot_heads import VideoWriter, read_video

        head, video = self.reenactor.embed([source]), read_video(driver)
        with VideoWriter(out, like=video, overwrite=True) as writer:
            for count, frame in enumerate(self.reenactor.animate(head, video), 1):
                writer.add(frame)
                yield count

    @staticmethod
    def frames(path: str | Path) -> np.ndarray:
        """A whole clip, uint8 [T,H,W,3]."""
        from fewshot_heads import read_video

        return np.stack(list(read_video(path)))

    @staticmethod
    def warp(source: np.ndarray, source_face: Any, driver_face: Any) -> np.ndarray:
        """The source carried by the thin-plate spline from its landmarks to the driver's, no network."""
        from fewshot_heads.images import to_uint8
        from fewshot_heads.landmarks.geometry import control_points
        from fewshot_heads.models.texture import tps_warp

        points = (torch.from_numpy(control_points(face))[None].float() for face in (source_face, driver_face))
        with torch.inference_mode():
            image = torch.from_numpy(source).permute(2, 0, 1)[None].float() / 127.5 - 1
            return to_uint8(tps_warp(image, *points)[0])

    def generated(self, batch: int) -> Callable[[], torch.Tensor]:
        """A call that makes `batch` frames: the flow of every one, and the generator."""
        from fewshot_heads.models.generator import Texture
        from fewshot_heads.models.texture import tps_flow

        networks = self.reenactor.checkpoint.networks
        size = networks.generator.size
        random = torch.Generator().manual_seed(0)
        source, stickman = (torch.rand(batch, 3, size, size, generator=random) * 2 - 1 for _ in range(2))
        opened = torch.zeros(batch, 1, size, size)
        points = torch.rand(batch, 88, 2, generator=random) * 1.2 - 0.6
        style = networks.generator.project(networks.embedder(source[:1, None], stickman[:1, None]).mean(1))

        @torch.inference_mode()
        def call() -> torch.Tensor:
            flows = tps_flow(points, points * 0.97)[:, None]
            texture = Texture(source[:, None], flows, torch.ones(batch, 1), source, opened)
            return networks.generator(stickman, style.expand(batch, -1), texture)

        return call

    def stages(self, source: str, driver: str) -> dict[str, tuple[Callable[[], Any], int]]:
        """Stage -> (call, frames it does), on the driver's first frames and at the portrait's size."""
        from fewshot_heads import VideoWriter, read_video
        from fewshot_heads.landmarks.retarget import retarget
        from fewshot_heads.landmarks.stickman import draw_stickman
        from fewshot_heads.landmarks.tracking import track
        from fewshot_heads.paste import Paster

        video, head = read_video(driver), self.reenactor.embed([source])
        frames, paster = list(islice(video, 30)), Paster(head.picture, head.crop)
        face, size = head.landmarks[0], head.crop.size
        motion = track(frames, [self.detector], name=driver)
        moves = motion.cropped(size)

        def encode() -> None:
            with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "out.mp4", like=25) as out:
                for _ in frames:
                    out.add(head.picture)

        return {
            "decode": (lambda: list(islice(video, len(frames))), len(frames)),
            "track landmarks": (lambda: track(frames, [self.detector]), len(frames)),
            "retarget": (lambda: retarget(face, moves), len(moves)),
            "raster": (lambda: draw_stickman(face.points, size), 1),
            **{f"flow and generator, batch {n}": (self.generated(n), n) for n in (1, 4, 8)},
            "paste back": (lambda: paster.paste(head.textures[0]), 1),
            "all from landmarks to paste back": (lambda: list(self.reenactor.animate(head, motion)), len(frames)),
            "encode": (encode, len(frames)),
        }

    def generator_cost(self) -> dict[str, float]:
        """GFLOP of one frame by torch's FlopCounterMode, which counts a multiply-add as 2; parameters of the parts."""
        counter, networks = FlopCounterMode(display=False), self.reenactor.checkpoint.networks
        call = self.generated(1)
        with counter:
            call()
        parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in networks.named_children()}
        return {"gflop": counter.get_total_flops() / 1e9, **parameters}
