"""Self-reenactment quality: the first frame of each clip, driven by its own clip, against the true frames.

python -m benchmarks.quality clips=FOLDER vgg=FILE.npz csim=FILE.pt [key=value ...]

clips     folder of <identity>/<name>.mp4, each a 256x256 head crop (required)
vgg       weights of VGG-19 for the feature distance (required; see benchmarks/README.md)
csim      weights of MobileFaceNet for the identity similarity (required)
model     realtime            a shipped preset, or a .safetensors file
motion    relative,absolute   which of the model's motions to measure, with a comma between
frames    32                  compared frames of each clip, evenly spaced, never a source
k_shot    1                   sources: the first frame, and with more the clip's evenly spaced frames
limit     0                   only this many clips; 0 is all
out       benchmarks/results/quality.json, and the table beside it as .md
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import common
from fewshot_heads import metrics
from fewshot_heads.errors import BadInput

DEFAULTS = {
    "clips": "",
    "vgg": "",
    "csim": "",
    "model": "realtime",
    "motion": "relative,absolute",
    "frames": 32,
    "k_shot": 1,
    "limit": 0,
    "out": "benchmarks/results/quality.json",
}
MEASURES = {  # name -> what the table calls it, digits
    "l1": ("L1 ↓", 4),
    "psnr": ("PSNR, dB ↑", 2),
    "ssim": ("SSIM ↑", 4),
    "vgg": ("VGG-19 distance ↓", 3),
    "csim": ("CSIM ↑", 3),
    "akd": ("AKD, px ↓", 2),
    "no_face": ("frames with no face ↓", 3),
    "jitter": ("jitter, px/frame² (truth {truth_jitter:.2f})", 2),
    "round_trip_psnr": ("round trip PSNR, dB ↑", 2),
}


class Judge:
    """Measures columns of results for one clip at a time."""

    def __init__(self, chosen: dict[str, Any], library: common.Library) -> None:
        self.library = library
        self.vgg, self.identity = metrics.VGGDistance(chosen["vgg"]), metrics.Identity(chosen["csim"])
        self.motions = chosen["motion"].split(",")
        self.n_frames, self.k_shot = chosen["frames"], chosen["k_shot"]

    def clip(self, frames: np.ndarray) -> dict[str, Any]:
        """Frames [T,H,W,3] of one clip -> its columns of measures. Raises BadInput for a clip it cannot judge."""
        sources = np.unique(np.linspace(0, len(frames) - 1, self.k_shot).round().astype(int))
        judged, run = choose_frames(len(frames), self.n_frames, sources)
        wanted, truth = np.union1d(judged, run), frames[judged]
        faces = {i: self.library.landmarks(frames[i]) for i in [0, *wanted]}
        if faces[0] is None:
            raise BadInput("no face in the first frame")
        columns = {
            "still": dict.fromkeys(wanted, frames[0]),
            # without a face there is nothing to warp by: the still source is what a bare warp can give
            "warp": {i: self.library.warp(frames[0], faces[0], faces[i]) if faces[i] else frames[0] for i in wanted},
        }
        for motion in self.motions:
            columns[motion] = self._animated([frames[i] for i in sources], frames, motion, set(wanted))
        truth_points = _stack(faces, judged)
        results = [np.stack([column[i] for i in judged]) for column in columns.values()]
        distances = self.vgg.to_each(truth, results)
        truth_identity = self.identity(truth, truth_points)
        measured = {}
        for (name, column), result, distance in zip(columns.items(), results, distances, strict=True):
            found = {i: self.library.landmarks(picture) for i, picture in column.items()}
            seen = _stack(found, judged)
            measured[name] = {
                "l1": metrics.l1(result, truth).mean(),
                "psnr": metrics.psnr(result, truth).mean(),
                "ssim": metrics.ssim(result, truth).mean(),
                "vgg": distance.mean(),
                "csim": common.mean(metrics.csim(self.identity(result, seen), truth_identity)),
                "akd": common.mean(metrics.akd(seen, truth_points)),
                "no_face": np.isnan(seen).any((1, 2)).mean(),
                "jitter": metrics.jitter(_stack(found, run)),
                "round_trip_psnr": self._round_trip(frames[0], name),
            }
        truth_jitter = metrics.jitter(_stack(faces, run))
        return {"frames": len(judged), "truth_jitter": truth_jitter, "columns": measured}

    def _animated(self, sources: list[np.ndarray], frames: np.ndarray, motion: str, keep: set[int]) -> dict[int, Any]:
        """The model's frames at the indices to keep. It sees the whole clip, as a user's driver would be."""
        results, count = {}, 0
        for i, picture in enumerate(self.library.animate(sources, frames, motion)):
            count += 1
            if i in keep:
                results[i] = picture
        if count != len(frames):
            raise BadInput(f"animate gave {count} frames for {len(frames)}")
        return results

    def _round_trip(self, source: np.ndarray, column: str) -> float:
        if column not in self.motions:
            return float("nan")
        picture = next(self.library.animate([source], [source], column))
        return float(metrics.psnr(picture, source)[0])


def _stack(faces: dict[int, Any], indices: np.ndarray) -> np.ndarray:
    """[N,70,2] landmarks of the faces at these indices, NaN where there is none."""
    return np.stack([faces[i].points if faces[i] else np.full((70, 2), np.nan) for i in indices])


def choose_frames(total: int, count: int, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices to compare (evenly spaced, no sources) and a run of consecutive ones from the middle, for jitter."""
    free = np.setdiff1d(np.arange(1, total), sources)
    if len(free) == 0:
        raise BadInput(f"a clip of {total} frames leaves none to compare beside {len(sources)} sources")
    judged = free[np.unique(np.linspace(0, len(free) - 1, count).round().astype(int))]
    start = max(1, (total - count) // 2)
    return judged, np.arange(start, min(start + count, total))


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """column -> measure -> mean over clips within an identity, then over identities, with its bootstrap interval."""
    good = [row for row in rows if "failed" not in row]
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for column in good[0]["columns"] if good else ():
        summary[column] = {}
        for measure in MEASURES:
            by_identity: dict[str, list[float]] = {}
            for row in good:
                by_identity.setdefault(row["identity"], []).append(row["columns"][column][measure])
            means = [common.mean(values) for values in by_identity.values()]
            low, high = common.bootstrap(means)
            summary[column][measure] = {"mean": common.mean(means), "low": low, "high": high}
    return summary


def markdown(summary: dict[str, Any], rows: list[dict[str, Any]], truth_jitter: float) -> str:
    names = {"still": "still source", "warp": "bare warp", "relative": "model, relative", "absolute": "model, absolute"}
    lines = []
    for measure, (title, digits) in MEASURES.items():
        values = [column[measure] for column in summary.values()]
        lines.append([title.format(truth_jitter=truth_jitter), *(common.cell(value, digits) for value in values)])
    failed = [f"- {row['clip']}: {row['failed']}" for row in rows if "failed" in row]
    identities = len({row["identity"] for row in rows if "failed" not in row})
    caption = f"{len(rows) - len(failed)} clips of {identities} identities; mean over identities [95 % interval]."
    complaints = [f"\n{len(failed)} clips failed:\n", *failed] if failed else []
    return "\n".join([caption, "", common.table(["", *(names[c] for c in summary)], lines), *complaints])


def main(argv: list[str]) -> None:
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "clips", "vgg", "csim")
    if unknown := set(chosen["motion"].split(",")) - {"relative", "absolute"}:
        raise BadInput(f"motion={unknown.pop()!r}: expected relative, absolute, or both with a comma between")
    if chosen["frames"] < 1 or chosen["k_shot"] < 1:
        raise BadInput("frames and k_shot must be 1 or more")
    paths = sorted(Path(chosen["clips"]).glob("*/*.mp4"))[: chosen["limit"] or None]
    if not paths:
        raise BadInput(f"{chosen['clips']}: no <identity>/<name>.mp4 in it")
    library = common.Library(chosen["model"])
    judge, rows = Judge(chosen, library), []
    for path in tqdm(paths, unit="clip", disable=None):
        row: dict[str, Any] = {"clip": f"{path.parent.name}/{path.name}", "identity": path.parent.name}
        try:
            row |= judge.clip(library.frames(path))
        except Exception as error:  # a clip that breaks the library is a finding, not the end of the run
            row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
        rows.append(row)
    summary = summarise(rows)
    truth_jitter = common.mean([row.get("truth_jitter", np.nan) for row in rows])
    report = {
        "protocol": "self_reenactment",
        "command": common.command("benchmarks.quality", chosen),
        "machine": common.machine(),
        "weights": {
            "model": library.weights,
            "vgg": common.sha256(chosen["vgg"]),
            "csim": common.sha256(chosen["csim"]),
        },
        "means": summary,
        "rows": rows,
    }
    common.write_report(chosen["out"], report, markdown(summary, rows, truth_jitter))


if __name__ == "__main__":
    common.run(main, __doc__)
