"""People who do not exist: are they faces, are they different, and do they leave the training people alone?

python -m benchmarks.studies.sampling prepared=FOLDER,FOLDER clips=FOLDER csim=FILE.pt matte=FILE hair=FILE [key=value ...]

prepared            what the shipped model of appearance was learned from, with commas between (required)
clips               folder of <identity>/<name>.mp4, 256x256 head crops of people it was not learned from (required)
csim                weights of MobileFaceNet for the identity similarity (required)
matte, hair         MediaPipe's segmenters, as for creative.appearance (required: the same people are to be found)
count      200      people drawn
compared   100      of them, and of the training people, compared with each other
truncation 0.8      of the draws
out        benchmarks/results/sampling.json, and the table beside it as .md
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import common
from fewshot_heads import Reenactor, metrics, read_video
from fewshot_heads.creative.appearance.fitting import learn
from fewshot_heads.creative.appearance.model import SHIPPED, Appearance
from fewshot_heads.creative.appearance.portraits import PortraitFrame, select_portraits
from fewshot_heads.creative.blending.sampling import Sample, sample
from fewshot_heads.errors import BadInput

DEFAULTS = {
    "prepared": "",
    "clips": "",
    "csim": "",
    "matte": "",
    "hair": "",
    "count": 200,
    "compared": 100,
    "truncation": 0.8,
    "out": "benchmarks/results/sampling.json",
}


def pairwise(embeddings: np.ndarray) -> np.ndarray:
    """Cosines [N (N - 1) / 2] of all pairs of [N, D]."""
    return metrics.csim(embeddings[:, None], embeddings[None])[np.triu_indices(len(embeddings), 1)]


def nearest(embeddings: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of [N, D] the highest cosine with one of [M, D]."""
    return metrics.csim(embeddings[:, None], others[None]).max(1)


def drawn(judge: metrics.Identity, chosen: dict[str, Any]) -> dict[str, Any]:
    """Embeddings [N, 128] of N people, their distances, how many draws showed no face, and seconds a person."""
    reenactor, model = Reenactor.from_pretrained(), Appearance.load()
    people = sample(reenactor, Sample(count=chosen["count"], truncation=chosen["truncation"]), model)
    next(sample(reenactor, Sample(count=1), model))  # the first call of a network is slow
    start = time.perf_counter()
    found = list(tqdm(people, "drawn", chosen["count"], unit="person", disable=None))
    seconds = (time.perf_counter() - start) / len(found)
    embeddings = [judge(each.head.picture[None], each.head.landmarks[0].points[None])[0] for each in found]
    return {
        "embeddings": np.stack(embeddings),
        "distance": np.array([each.distance for each in found]),
        "refused": sum(each.refused for each in found),
        "seconds": seconds,
    }


def held_out(folder: Path, judge: metrics.Identity) -> np.ndarray:
    """[N, 128]: the first frame of each person's first clip that shows a face."""
    reenactor, result = Reenactor.from_pretrained(), []
    for person in sorted(each for each in folder.iterdir() if each.is_dir()):
        for frame in islice(read_video(next(iter(sorted(person.glob("*.mp4"))))), 25):
            if faces := reenactor.detectors[0].detect(frame):
                result.append(judge(frame[None], faces[0].points[None])[0])
                break
    return np.stack(result)


def embedded(people: list[PortraitFrame], judge: metrics.Identity) -> np.ndarray:
    """[N, 128] of the pictures the people sat for."""
    return np.stack([judge(each.picture[None], each.landmarks.points[None])[0] for each in people])


def recognised(kept: list[PortraitFrame], judge: metrics.Identity) -> dict[str, np.ndarray]:
    """Cosines of kept people with what their kept numbers show: [N], and with what those of the others do, [N (N - 1)];
    rank [N]: how many others are nearer to it than they are."""
    model, truth = Appearance.load(), embedded(kept, judge)
    shown = [model.render(numbers) for numbers in model.people[: len(kept)]]
    seen = np.stack([judge(picture[None], face.points[None])[0] for picture, face in shown])
    cosines = metrics.csim(seen[:, None], truth[None])
    own = np.diag(cosines)
    return {"own": own, "others": cosines[~np.eye(len(kept), dtype=bool)], "rank": (cosines > own[:, None]).sum(1)}


def check_same_people(codes: np.ndarray, kept: np.ndarray) -> None:
    """Raises BadInput unless codes [N, D] learned now are the numbers kept [2 N, <= D] of the shipped model's people,
    whose second half are their mirror images."""
    own = kept[: len(codes)]
    # By size: which way a direction points is the linear algebra library's whim.
    if 2 * len(codes) != len(kept) or not np.allclose(np.abs(codes[:, : own.shape[1]]), np.abs(own), atol=0.02):
        raise BadInput("these are not the people the shipped model was learned from; give the same prepared data")


def measured(chosen: dict[str, Any]) -> dict[str, Any]:
    judge = metrics.Identity(chosen["csim"])
    people = select_portraits(chosen["prepared"].split(","), Path(chosen["matte"]), Path(chosen["hair"]))
    _, kept, codes = learn(people)
    check_same_people(codes, Appearance.load().people)
    found, training, others = drawn(judge, chosen), embedded(people, judge), held_out(Path(chosen["clips"]), judge)
    few, again = chosen["compared"], recognised(kept, judge)
    return {
        "accepted": len(found["distance"]) / (len(found["distance"]) + found["refused"]),
        "pairwise_drawn": pairwise(found["embeddings"][:few]),
        "pairwise_training": pairwise(training[:: max(len(training) // few, 1)][:few]),
        "pairwise_held_out": pairwise(others),
        "nearest_drawn": nearest(found["embeddings"], training),
        "nearest_held_out": nearest(others, training),
        "distance": found["distance"],
        "seconds": found["seconds"],
        **{f"recognised_{key}": value for key, value in again.items()},
    }


def summed(values: np.ndarray) -> dict[str, float]:
    return {"mean": float(values.mean()), "95 %": float(np.percentile(values, 95)), "largest": float(values.max())}


def markdown(found: dict[str, Any]) -> str:
    titles = {
        "pairwise_drawn": "invented people with each other",
        "pairwise_training": "training people with each other",
        "pairwise_held_out": "held-out people with each other",
        "nearest_drawn": "invented person to the nearest training person",
        "nearest_held_out": "held-out person to the nearest training person",
        "recognised_own": "training person to what the kept numbers show of them",
        "recognised_others": "training person to what the kept numbers show of others",
    }
    lines = [[title, *(f"{value:.3f}" for value in summed(found[key]).values())] for key, title in titles.items()]
    away, ranks = found["distance"], found["recognised_rank"]
    return "\n\n".join(
        [
            f"{len(away)} people; {found['accepted']:.1%} of the draws show a face where the model says it is; "
            f"{found['seconds']:.2f} s a person. Distance to the nearest training person {away.min():.2f} to "
            f"{away.max():.2f}, median {np.median(away):.2f} standard deviations.",
            common.table(["cosine of identity embeddings (MobileFaceNet)", "mean", "95 %", "largest"], lines),
            f"By the numbers that are kept of them {np.mean(ranks == 0):.1%} of {len(ranks)} training people are found "
            f"as the nearest of all (by chance {1 / len(ranks):.1%}); median place {np.median(ranks) + 1:.0f}.",
        ]
    )


def main(argv: list[str]) -> None:
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "clips", "csim", "matte", "hair")
    found = measured(chosen)
    named = {**chosen, "prepared": ",".join(Path(each).name for each in chosen["prepared"].split(","))}
    short = {key: summed(v) if isinstance(v, np.ndarray) and len(v) > 1000 else v for key, v in found.items()}
    report = {"command": common.command("benchmarks.studies.sampling", named), "machine": common.machine(), **short}
    report["appearance"] = {"name": SHIPPED.name, "sha256": common.sha256(SHIPPED)}
    common.write_report(chosen["out"], report, markdown(found))


if __name__ == "__main__":
    common.run(main, __doc__)
