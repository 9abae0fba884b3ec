"""What the match term is for: do W_i and e_hat_i agree, and is project(e_hat) the place to start fine-tuning from?

python -m benchmarks.studies.matching run=RUN data=PREPARED vgg=FILE.npz [key=value ...]

run       a folder of meta_learn whose criterion had the match term (required)
data      what it was trained on, with a val split (required)
vgg       weights of VGG-19 for the loss of fine-tuning (required)
identities       names of the people that were trained on, with commas between; none is all of the train split
pictures  8      of each person, spread over one clip; two of them are held out, and measured on
people    10     of the val split
steps     40     of fine-tuning
lr        1e-4
out       benchmarks/results/matching.json, and the table beside it as .md
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from benchmarks import common
from fewshot_heads.datasets.clips import Clip, Footage
from fewshot_heads.datasets.shards import open_shards
from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.models.checkpoint import Checkpoint, load_checkpoint, load_discriminator
from fewshot_heads.rendering.renderer import rasterize_landmarks
from fewshot_heads.training.head_tuner import FineTuningConfig, holdout_indices, tune
from fewshot_heads.training.losses import WeightedLosses

DEFAULTS = {
    "run": "",
    "data": "",
    "vgg": "",
    "identities": "",
    "pictures": 8,
    "people": 10,
    "steps": 40,
    "lr": 1e-4,
    "out": "benchmarks/results/matching.json",
}
LOOK_EVERY = 5  # steps


def pictures_of(clip: Clip, count: int) -> Footage:
    """So many frames, evenly spread over the clip."""
    chosen = np.unique(np.linspace(0, len(clip.frames) - 1, count).round().astype(int))
    return Footage(clip.identity, [clip.frames[i] for i in chosen], np.asarray(clip.landmarks)[chosen])


@torch.inference_mode()
def e_hat_of(checkpoint: Checkpoint, clip: Footage) -> Tensor:
    """[E], the mean over the clip's pictures."""
    size = checkpoint.about["spec"]["size"]
    stickmen = rasterize_landmarks([Landmarks.from_array(points) for points in clip.landmarks], size)
    return checkpoint.networks.embedder(to_tensor(np.stack(clip.frames))[None], stickmen[None]).mean(1)[0].clone()


def agreement(checkpoint: Checkpoint, table: Tensor, clips: Mapping[str, Clip], count: int) -> dict[str, float]:
    """Mean cosine of e_hat_i and W_i, and of e_hat_i and everybody else's W."""
    hats = torch.stack([e_hat_of(checkpoint, pictures_of(clip, count)) for clip in clips.values()])
    cosines = F.normalize(hats) @ F.normalize(table).T
    own = cosines.diagonal()
    others = (cosines.sum() - own.sum()) / max(cosines.numel() - len(own), 1)
    nearest = (cosines.argmax(1) == torch.arange(len(own))).float().mean()
    return {"own": float(own.mean()), "others": float(others), "nearest_is_own": float(nearest)}


def curves(checkpoint: Checkpoint, clip: Clip, chosen: dict[str, Any]) -> dict[str, list[float]]:
    """Held-out loss while fine-tuning from project(e_hat), and from a random style."""
    footage = pictures_of(clip, chosen["pictures"])
    spared = holdout_indices(len(footage.frames))
    seen = [i for i in range(len(footage.frames)) if i not in spared]
    e_hat = e_hat_of(checkpoint, Footage(clip.identity, [footage.frames[i] for i in seen], footage.landmarks[seen]))
    generator = checkpoint.networks.generator
    # A random style is that of nobody: of a random vector as long as e_hat.
    nobody = torch.randn(e_hat.shape, generator=torch.Generator().manual_seed(0))
    styles = [generator.project(e[None])[0].detach() for e in (e_hat, F.normalize(nobody, dim=0) * e_hat.norm())]
    criterion = WeightedLosses({"vgg19": {"weight": 1e-2, "weights": chosen["vgg"]}, "l1": {"weight": 1.0}})
    settings = FineTuningConfig(
        steps=chosen["steps"], lr=chosen["lr"], augment=0.0, patch_size=None, eval_every=LOOK_EVERY
    )
    result = {}
    for name, style in zip(("project(e_hat)", "random style"), styles, strict=True):
        tuned = tune(generator, style, footage, criterion, settings, load_discriminator(checkpoint), e_hat)
        result[name] = [loss for _, loss in tuned.curve]
    return result


def markdown(report: dict[str, Any]) -> str:
    """The cosines, and the mean curves with a column for each look."""
    match, runs = report["agreement"], report["curves"]
    steps = [f"step {i * LOOK_EVERY}" for i in range(max(len(run) for person in runs for run in person.values()))]
    rows = []
    for name in runs[0]:
        padded = [run[name] + [run[name][-1]] * (len(steps) - len(run[name])) for run in runs]
        rows.append([name, *(f"{loss:.3f}" for loss in np.mean(padded, axis=0))])
    caption = (
        f"cos(e_hat_i, W_i) {match['own']:.3f}, with other people's W {match['others']:.3f}; the nearest W is the "
        f"person's own for {100 * match['nearest_is_own']:.0f} % of {report['trained_on']} people.\n\n"
        f"Held-out loss of {len(runs)} unseen people while fine-tuning:\n\n"
    )
    return caption + common.table(["starts from", *steps], rows)


def main(argv: list[str]) -> None:
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "run", "data", "vgg")
    checkpoint = load_checkpoint(Path(chosen["run"]))
    state = torch.load(Path(chosen["run"]) / "state.pt", map_location="cpu", weights_only=True)
    train = {clip.identity: clip for clip in reversed(open_shards(chosen["data"], "train"))}
    people = {name: train[name] for name in sorted(chosen["identities"].split(",") if chosen["identities"] else train)}
    table = state["critic"]["W.weight"]
    if len(table) != len(people):
        raise BadInput(f"run={chosen['run']}: has a table of {len(table)} people, the data {len(people)}")
    unseen = {clip.identity: clip for clip in reversed(open_shards(chosen["data"], "val"))}
    clips = [unseen[name] for name in sorted(unseen)][: chosen["people"]]
    report = {
        "command": common.command("benchmarks.studies.matching", chosen),
        "weights": {"name": checkpoint.name, "sha256": checkpoint.sha256},
        "trained_on": len(people),
        "agreement": agreement(checkpoint, table, people, chosen["pictures"]),
        "curves": [curves(checkpoint, clip, chosen) for clip in tqdm(clips, unit="person", disable=None)],
    }
    common.write_report(chosen["out"], report, markdown(report))


if __name__ == "__main__":
    common.run(main, __doc__)
