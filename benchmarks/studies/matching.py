"""Studies the match term: agreement of W_i and e_hat_i, and starts of fine-tuning.

python -m benchmarks.studies.matching run=RUN data=PREPARED vgg=FILE.npz [key=value ...]

run              folder of meta_learn, trained with the match term (required)
data             prepared data of that training, with a val split (required)
vgg              weights of VGG-19 for the loss of fine-tuning (required)
identities       names of the training people, separated by commas; empty is the whole train split
pictures   8     images of each person, spread over one clip; two of them are held out for the loss
people     10    of the val split
steps      40    of fine-tuning
lr         1e-4  of fine-tuning
out        benchmarks/results/matching.json, and the table beside it as .md
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
from fewshot_heads.training.weighted_losses import WeightedLosses

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
EVAL_EVERY_STEPS = 5


def pictures_of(clip: Clip, count: int) -> Footage:
    """Returns a number of frames, evenly spread over the clip."""
    numbers = np.unique(np.linspace(0, len(clip.frames) - 1, count).round().astype(int))
    return Footage(clip.identity, [clip.frames[i] for i in numbers], np.asarray(clip.landmarks)[numbers])


@torch.inference_mode()
def e_hat_of(checkpoint: Checkpoint, clip: Footage) -> Tensor:
    """Returns the mean embedding of the clip's images, [E]."""
    size = checkpoint.about["spec"]["size"]
    stickmen = rasterize_landmarks([Landmarks.from_array(points) for points in clip.landmarks], size)
    return checkpoint.networks.embedder(to_tensor(np.stack(clip.frames))[None], stickmen[None]).mean(1)[0].clone()


def agreement(checkpoint: Checkpoint, table: Tensor, clips: Mapping[str, Clip], count: int) -> dict[str, float]:
    """Returns mean cosines of e_hat_i with W_i and with the W of other people.

    Args:
        checkpoint: of the networks.
        table: W, [N, E].
        clips: identity -> clip, in the order of the table.
        count: images a person.
    """
    hats = torch.stack([e_hat_of(checkpoint, pictures_of(clip, count)) for clip in clips.values()])
    cosines = F.normalize(hats) @ F.normalize(table).T
    same_person = cosines.diagonal()
    others = (cosines.sum() - same_person.sum()) / max(cosines.numel() - len(same_person), 1)
    nearest = (cosines.argmax(1) == torch.arange(len(same_person))).float().mean()
    return {"own": float(same_person.mean()), "others": float(others), "nearest_is_own": float(nearest)}


def curves(checkpoint: Checkpoint, clip: Clip, chosen: dict[str, Any]) -> dict[str, list[float]]:
    """Returns start -> held-out loss while fine-tuning from project(e_hat), and from a random style."""
    footage = pictures_of(clip, chosen["pictures"])
    held_out = holdout_indices(len(footage.frames))
    training = [i for i in range(len(footage.frames)) if i not in held_out]
    training_frames = [footage.frames[i] for i in training]
    e_hat = e_hat_of(checkpoint, Footage(clip.identity, training_frames, footage.landmarks[training]))
    generator = checkpoint.networks.generator
    # The random style belongs to a random vector of the same norm as e_hat.
    random = torch.randn(e_hat.shape, generator=torch.Generator().manual_seed(0))
    styles = [generator.project(e[None])[0].detach() for e in (e_hat, F.normalize(random, dim=0) * e_hat.norm())]
    criterion = WeightedLosses({"vgg19": {"weight": 1e-2, "weights": chosen["vgg"]}, "l1": {"weight": 1.0}})
    settings = FineTuningConfig(
        steps=chosen["steps"], lr=chosen["lr"], augment=0.0, patch_size=None, eval_every=EVAL_EVERY_STEPS
    )
    result = {}
    for name, style in zip(("project(e_hat)", "random style"), styles, strict=True):
        tuned = tune(generator, style, footage, criterion, settings, load_discriminator(checkpoint), e_hat)
        result[name] = [loss for _, loss in tuned.curve]
    return result


def markdown(report: dict[str, Any]) -> str:
    """Returns the cosines, and the mean curves with a column for each evaluation."""
    match, runs = report["agreement"], report["curves"]
    steps = [f"step {i * EVAL_EVERY_STEPS}" for i in range(max(len(run) for person in runs for run in person.values()))]
    rows = []
    for name in runs[0]:
        # A curve that stopped early keeps its last value.
        padded = [run[name] + [run[name][-1]] * (len(steps) - len(run[name])) for run in runs]
        rows.append([name, *(f"{loss:.3f}" for loss in np.mean(padded, axis=0))])
    caption = (
        f"cos(e_hat_i, W_i) {match['own']:.3f}, with other people's W {match['others']:.3f}; the nearest W is the "
        f"person's own for {100 * match['nearest_is_own']:.0f} % of {report['trained_on']} people.\n\n"
        f"Held-out loss of {len(runs)} unseen people while fine-tuning:\n\n"
    )
    return caption + common.table(["starts from", *steps], rows)


def main(argv: list[str]) -> None:
    """Measures agreement and curves, and writes the report."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "run", "data", "vgg")
    checkpoint = load_checkpoint(Path(chosen["run"]))
    state = torch.load(Path(chosen["run"]) / "state.pt", map_location="cpu", weights_only=True)
    train = {clip.identity: clip for clip in reversed(open_shards(chosen["data"], "train"))}
    people = {name: train[name] for name in sorted(chosen["identities"].split(",") if chosen["identities"] else train)}
    table = state["critic"]["W.weight"]
    if len(table) != len(people):
        raise BadInput(f"run={chosen['run']}: has a table of {len(table)} people, the data {len(people)}")
    val_clips = {clip.identity: clip for clip in reversed(open_shards(chosen["data"], "val"))}
    clips = [val_clips[name] for name in sorted(val_clips)][: chosen["people"]]
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
