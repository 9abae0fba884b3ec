"""Which treatments the watermark survives, and whether it is seen where it is not.

    python -m benchmarks.watermark clips=FOLDER [drivers=FOLDER] [pictures=FOLDER,FOLDER] [outputs=FOLDER] [out=FILE]

Half of the files of each folder are written with the mark, the other half without; `outputs` holds videos that
`animate` wrote. Every file is then treated in every way, and searched.

    clips      folder of videos of heads, 256 pixels high
    drivers    folder of larger videos
    pictures   folders of pictures, separated by commas
    outputs    folder of finished outputs
    out        default benchmarks/results/watermark.json
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.common import check_paths, command, machine, mean, run, settings, table, write_report
from benchmarks.treatments import TREATMENTS, Frames, read_frames
from fewshot_heads.errors import BadInput
from fewshot_heads.media.images import PICTURES, write_image
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_reader import VIDEOS
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.media.watermark import embed
from fewshot_heads.media.watermark_search import FALSE_ALARMS, detect

MARK = Provenance("benchmark", "9b3ff9ad239d8736", composite=True)
FRAMES = {"clips": 48, "drivers": 16, "pictures": 1, "outputs": 48}
COUNTS = {"clips": (32, 32), "drivers": (4, 4), "pictures": (11, 14), "outputs": (3, 0)}  # with and without the mark
GROUPS = {"256 pixels high": (0, 400), "larger": (400, 10**6)}  # shorter side


@dataclass
class Row:
    """One search: where, after what, what was seen."""

    file: str
    group: str
    is_marked: bool
    treatment: str
    score: float
    threshold: float
    found: bool
    model: str | None
    seconds: float


def main(argv: Sequence[str]) -> None:
    """Runs the benchmark."""
    defaults = {"clips": "", "drivers": "", "pictures": "", "outputs": "", "out": "benchmarks/results/watermark.json"}
    chosen = settings(defaults, argv)
    check_paths(chosen, "clips")
    cv2.setNumThreads(1)
    rows: list[Row] = []
    psnr: dict[str, float] = {}
    for kind, path, is_marked in tqdm(list(_files(chosen)), "watermark", disable=None, unit="file"):
        frames = read_frames(path, FRAMES[kind])
        if kind != "outputs":
            if is_marked:
                psnr[path.name] = _psnr(embed(frames[0], MARK.sha256), frames[0])
            frames = _as_written(frames, kind, is_marked)
        side = min(frames[0].shape[:2])
        group = next(name for name, (low, high) in GROUPS.items() if low <= side < high)
        for name, treat in TREATMENTS.items():
            treated, start = treat(frames), time.perf_counter()
            seen = detect(treated)
            seconds = time.perf_counter() - start
            told = (seen.score, seen.threshold, seen.found, seen.model, seconds)
            rows.append(Row(path.name, group, is_marked, name, *told))
    report: dict[str, Any] = {"command": command("benchmarks.watermark", chosen), "machine": machine()}
    report |= {"psnr": psnr, "embed_ms": _cost(), "scores": _scores(rows)}
    write_report(chosen["out"], report, _markdown(rows, report))


def _files(chosen: dict[str, Any]) -> Iterator[tuple[str, Path, bool]]:
    """Yields kind, path and whether to mark it, evenly spaced in the sorted files of each folder."""
    for kind, (marked, clean) in COUNTS.items():
        suffixes = PICTURES if kind == "pictures" else VIDEOS
        folders = [Path(name) for name in chosen[kind].split(",") if name]
        files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes]
        if not files:
            continue
        if len(files) < marked + clean:
            raise BadInput(f"{kind}={chosen[kind]}: got {len(files)} files, expected {marked + clean} or more")
        picked = np.linspace(0, len(files) - 1, marked + clean).round().astype(int)
        for i, index in enumerate(picked):  # the marked ones are evenly spaced among the others
            yield kind, files[index], i * marked // len(picked) != (i + 1) * marked // len(picked)


def _as_written(frames: Frames, kind: str, is_marked: bool) -> Frames:
    """Returns frames as the library writes them, with the mark or without, and reads them again."""
    mark = MARK if is_marked else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("out.jpg" if kind == "pictures" else "out.mp4")
        if kind == "pictures":
            write_image(path, frames[0], mark)
        else:
            with VideoWriter(path, 25, mark=mark) as writer:
                for frame in frames:
                    writer.add(frame)
        return read_frames(path, len(frames))


def _psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return 10 * float(np.log10(255**2 / np.square(image.astype(float) - truth).mean()))


def _cost(repeats: int = 50) -> dict[str, float]:
    """Returns milliseconds that the mark costs for a frame, on one core, by size."""
    costs = {}
    for height, width in ((256, 256), (512, 512), (720, 1280), (1080, 1920)):
        noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
        frame = cv2.GaussianBlur(noise, (0, 0), 3)
        embed(frame, MARK.sha256)
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            embed(frame, MARK.sha256)
            times.append(1000 * (time.perf_counter() - start))
        costs[f"{width}x{height}"] = float(np.median(times))
    return costs


def _markdown(rows: Sequence[Row], report: dict[str, Any]) -> str:
    clean, marked = [row for row in rows if not row.is_marked], [row for row in rows if row.is_marked]
    lines = []
    for name in TREATMENTS:
        line, treated = [name], [row for row in marked if row.treatment == name]
        for group in GROUPS:
            line.append(_share([row.found for row in treated if row.group == group]))
        others = [row for row in clean if row.treatment == name]
        line.append(_share([row.model is not None for row in treated]))
        line.append(_share([row.found for row in others]))
        lines.append([*line, f"{max((row.score for row in others), default=0):.2f}"])
    header = [
        *("treatment", *(f"found, {group}" for group in GROUPS)),
        "model read",
        "false alarms",
        "best clean score",
    ]
    levels = list(report["psnr"].values())
    wrong = sum(row.model not in (None, MARK.sha256[:3]) for row in marked)
    costs = ", ".join(f"{size} {ms:.1f} ms" for size, ms in report["embed_ms"].items())
    notes = [
        f"PSNR of a marked frame: at least {min(levels):.1f} dB, mean {mean(levels):.1f} dB.",
        f"Models read wrongly: {wrong}.",
        f"Searches without the mark: {len(clean)}, false alarms {sum(row.found for row in clean)}, highest score "
        f"{max(row.score for row in clean):.2f}, lowest threshold {min(row.threshold for row in clean):.2f} "
        f"(false alarms by the bound: {FALSE_ALARMS:g} a search).",
        f"A frame takes {costs} on one core. A search takes {mean([row.seconds for row in rows]):.2f} s in the mean.",
        f"`{report['command']}` on {report['machine']['cpu']}.",
    ]
    return "\n\n".join([table(header, lines), *notes])


def _scores(rows: Sequence[Row]) -> dict[str, Any]:
    """Returns the files with and without the mark, and their scores in that order after each treatment."""
    kinds = {"marked": [row for row in rows if row.is_marked], "clean": [row for row in rows if not row.is_marked]}
    scores: dict[str, Any] = {
        name: {kind: [round(row.score, 2) for row in some if row.treatment == name] for kind, some in kinds.items()}
        for name in TREATMENTS
    }
    first = next(iter(TREATMENTS))
    return {
        "files": {kind: [row.file for row in some if row.treatment == first] for kind, some in kinds.items()}
    } | scores


def _share(values: Sequence[bool]) -> str:
    return f"{sum(values)} of {len(values)}"


if __name__ == "__main__":
    run(main, __doc__)
