"""Measures the gain of fine-tuning on frames of the same clip.

python -m benchmarks.tuning clips=FOLDER vgg=FILE.npz csim=FILE.pt [key=value ...]

clips                    folder of <identity>/<name>.mp4, 256x256 head crops; the first clip of each person (required)
vgg                      weights of VGG-19 for the feature distance (required; see benchmarks/README.md)
csim                     weights of MobileFaceNet for the identity similarity (required)
model          realtime  a shipped preset, or a .safetensors file
pictures       1,8       numbers of images to tune on, evenly spaced over the first half
frames         12        compared frames, evenly spaced over the second half
max_identities 10        number of people; 0 is all
tuning                   keys of conf/fine_tune.yaml, separated by spaces, such as tuning="steps=80 lr=1e-4"
out            benchmarks/results/tuning.json, and the table beside it as .md
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import common
from fewshot_heads import Head, Reenactor, metrics, read_video
from fewshot_heads.cli.config import load_config
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.training.fine_tuning import from_config

DEFAULTS = {
    "clips": "",
    "vgg": "",
    "csim": "",
    "model": "realtime",
    "pictures": "1,8",
    "frames": 12,
    "max_identities": 10,
    "tuning": "",
    "out": "benchmarks/results/tuning.json",
}
GUARD_FRAMES = 3  # at the start of the second half: they resemble the last image to tune on
MEASURES = {"csim": ("CSIM ↑", 3), "vgg": ("VGG-19 distance ↓", 3), "l1": ("L1 ↓", 4)}


class Judge:
    """Measures a head on held-out frames: self-reenactment, absolute motion, full crop."""

    def __init__(self, chosen: dict[str, Any], reenactor: Reenactor) -> None:
        """Loads the judging networks.

        Args:
            chosen: settings of this benchmark.
            reenactor: the model.
        """
        self.reenactor = reenactor
        self.vgg, self.identity = metrics.VGGDistance(chosen["vgg"]), metrics.Identity(chosen["csim"])

    def __call__(self, head: Head, truth: np.ndarray, faces: Sequence[Landmarks]) -> dict[str, float]:
        """Returns measure -> value.

        Args:
            head: of the person.
            truth: true frames, uint8 [N, S, S, 3].
            faces: landmarks of the true frames.
        """
        motion = Motion(faces, [], [(0, len(faces))], truth.shape[1:3])
        frames = self.reenactor.animate(
            head, motion, "absolute", crop="full", paste_back=False, resolution=self.reenactor.size
        )
        result, points = np.stack(list(frames)), np.stack([face.points for face in faces])
        return {
            "csim": common.mean(metrics.csim(self.identity(result, points), self.identity(truth, points))),
            "vgg": float(self.vgg(truth, result).mean()),
            "l1": float(metrics.l1(truth, result).mean()),
        }


def one_person(clip: Path, judge: Judge, count: int, chosen: dict[str, Any]) -> dict[str, Any]:
    """Returns the measures before and after fine-tuning on images of one clip.

    Args:
        clip: path of the video.
        judge: measures the heads.
        count: number of images to tune on.
        chosen: settings of this benchmark.
    """
    settings, criterion = from_config(load_config("fine_tune", chosen["tuning"].split()))
    video, reenactor = np.stack(list(read_video(clip))), judge.reenactor
    half = len(video) // 2
    sources = np.unique(np.linspace(0, half - 1, count).round().astype(int))
    compared = np.unique(np.linspace(half + GUARD_FRAMES, len(video) - 1, chosen["frames"]).round().astype(int))
    truth = video[compared]
    faces = reenactor.track(truth, smooth=0, name=clip.name).landmarks
    head = reenactor.embed([video[i] for i in sources], crop="full")
    before, start = judge(head, truth, faces), time.perf_counter()
    tuned = reenactor.fine_tune(head, tuning=settings, criterion=criterion)
    seconds = time.perf_counter() - start
    person = {"person": clip.parent.name, "clip": clip.name, "pictures": len(sources), "seconds": seconds}
    return {**person, "before": before, "after": judge(tuned, truth, faces)}


def markdown(rows: list[dict[str, Any]]) -> str:
    """Returns a table of before, after, gain and worst person."""
    lines = []
    for count in sorted({row["pictures"] for row in rows}):
        group = [row for row in rows if row["pictures"] == count]
        for measure, (title, digits) in MEASURES.items():
            before, after = (np.array([row[when][measure] for row in group]) for when in ("before", "after"))
            gain = 100 * (after / before - 1) * (1 if measure == "csim" else -1)
            low, high = common.bootstrap(gain)
            change = f"{gain.mean():+.1f} % [{low:+.1f}, {high:+.1f}]"
            cells = [f"{before.mean():.{digits}f}", f"{after.mean():.{digits}f}", change, f"{gain.min():+.1f} %"]
            lines.append([f"{count} pictures, {title}", *cells])
        seconds = np.array([row["seconds"] for row in group])
        lines.append([f"{count} pictures, seconds", "", f"{np.median(seconds):.0f}", "", f"{seconds.max():.0f}"])
    header = ["", "before", "after", "gain, mean [95 %]", "worst person"]
    return f"{len({row['person'] for row in rows})} people.\n\n" + common.table(header, lines)


def main(argv: list[str]) -> None:
    """Measures all people and writes the report."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "clips", "vgg", "csim")
    people = sorted(folder for folder in Path(chosen["clips"]).iterdir() if folder.is_dir())
    clips = [clip for folder in people for clip in sorted(folder.glob("*.mp4"))[:1]][: chosen["max_identities"] or None]
    if not clips:
        raise BadInput(f"clips={chosen['clips']}: no <identity>/<name>.mp4 in it")
    judge = Judge(chosen, Reenactor.from_pretrained(chosen["model"]))
    work = [(clip, int(count)) for count in chosen["pictures"].split(",") for clip in clips]
    rows = [one_person(clip, judge, count, chosen) for clip, count in tqdm(work, unit="person", disable=None)]
    checkpoint = judge.reenactor.weights
    report = {"command": common.command("benchmarks.tuning", chosen), "machine": common.machine(), "rows": rows}
    report["weights"] = {"name": checkpoint.name, "sha256": checkpoint.sha256}
    common.write_report(chosen["out"], report, markdown(rows))


if __name__ == "__main__":
    common.run(main, __doc__)
