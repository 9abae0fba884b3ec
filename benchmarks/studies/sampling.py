"""Studies synthetic identities: validity, variety and distance to training people.

python -m benchmarks.studies.sampling prepared=FOLDER,... clips=FOLDER csim=FILE.pt hair=FILE [key=value ...]

prepared         training data of the shipped appearance model, separated by commas (required)
clips            folder of <identity>/<name>.mp4, 256x256 head crops of other people (required)
csim             weights of MobileFaceNet for the identity similarity (required)
hair             MediaPipe's hair network, as for creative.appearance; it selects the training people (required)
count       200  people to draw
compared    100  number of drawn people, and of training people, whose pairs are compared
truncation  0.8  of the draws
out         benchmarks/results/sampling.json, and the table beside it as .md
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

SAME_CODE_TOLERANCE = 0.02  # of a coefficient, standard deviations
DEFAULTS = {
    "prepared": "",
    "clips": "",
    "csim": "",
    "hair": "",
    "count": 200,
    "compared": 100,
    "truncation": 0.8,
    "out": "benchmarks/results/sampling.json",
}


def pairwise(embeddings: np.ndarray) -> np.ndarray:
    """Returns the cosines [N (N - 1) / 2] of all pairs of [N, D]."""
    return metrics.csim(embeddings[:, None], embeddings[None])[np.triu_indices(len(embeddings), 1)]


def nearest(embeddings: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns for each embedding [N, D] the highest cosine with the others [M, D], [N]."""
    return metrics.csim(embeddings[:, None], others[None]).max(1)


def drawn(judge: metrics.Identity, chosen: dict[str, Any]) -> dict[str, Any]:
    """Draws people; returns embeddings [N, 128], distances [N], number of refused draws, seconds a person."""
    reenactor, model = Reenactor.from_pretrained(), Appearance.load()
    people = sample(reenactor, Sample(count=chosen["count"], truncation=chosen["truncation"]), model)
    next(sample(reenactor, Sample(count=1), model))  # the first call of a network is slow
    start = time.perf_counter()
    identities = list(tqdm(people, "drawn", chosen["count"], unit="person", disable=None))
    seconds = (time.perf_counter() - start) / len(identities)
    heads = [identity.head for identity in identities]
    embeddings = [judge(head.picture[None], head.landmarks[0].points[None])[0] for head in heads]
    return {
        "embeddings": np.stack(embeddings),
        "distance": np.array([identity.distance for identity in identities]),
        "refused": sum(identity.refused for identity in identities),
        "seconds": seconds,
    }


def held_out(folder: Path, judge: metrics.Identity) -> np.ndarray:
    """Returns embeddings [N, 128] of each person's first frame with a face."""
    reenactor, result = Reenactor.from_pretrained(), []
    for person in sorted(path for path in folder.iterdir() if path.is_dir()):
        for frame in islice(read_video(next(iter(sorted(person.glob("*.mp4"))))), 25):
            if faces := reenactor.detectors[0].detect(frame):
                result.append(judge(frame[None], faces[0].points[None])[0])
                break
    return np.stack(result)


def embedded(people: list[PortraitFrame], judge: metrics.Identity) -> np.ndarray:
    """Returns embeddings [N, 128] of the training portraits."""
    return np.stack([judge(frame.picture[None], frame.landmarks.points[None])[0] for frame in people])


def recognized(kept: list[PortraitFrame], judge: metrics.Identity) -> dict[str, np.ndarray]:
    """Compares the training people with the images that the model's stored coefficients give.

    Args:
        kept: the training people whose coefficients the model stores.
        judge: face-recognition network.

    Returns:
        "own": cosines with the person's own image, [N]. "others": cosines with the images of others, [N (N - 1)].
            "rank": number of others who are nearer to the image, [N].
    """
    model, truth = Appearance.load(), embedded(kept, judge)
    images = [model.render(coefficients) for coefficients in model.people[: len(kept)]]
    rendered = np.stack([judge(image[None], face.points[None])[0] for image, face in images])
    cosines = metrics.csim(rendered[:, None], truth[None])
    same_person = np.diag(cosines)
    others = cosines[~np.eye(len(kept), dtype=bool)]
    return {"own": same_person, "others": others, "rank": (cosines > same_person[:, None]).sum(1)}


def check_same_people(codes: np.ndarray, kept: np.ndarray) -> None:
    """Checks that the data are those that the shipped model was learned from.

    Args:
        codes: coefficients learned now, [N, D].
        kept: coefficients of the shipped model, [2 N, at most D]. The second half are mirror images.

    Raises:
        BadInput: the coefficients differ.
    """
    shipped = kept[: len(codes)]
    # Absolute values: the sign of a principal direction depends on the linear algebra library.
    if 2 * len(codes) != len(kept) or not np.allclose(
        np.abs(codes[:, : shipped.shape[1]]), np.abs(shipped), atol=SAME_CODE_TOLERANCE
    ):
        raise BadInput("these are not the people the shipped model was learned from; give the same prepared data")


def measured(chosen: dict[str, Any]) -> dict[str, Any]:
    """Returns measure -> value, or array of values; chosen: settings of this study."""
    judge = metrics.Identity(chosen["csim"])
    people = select_portraits(chosen["prepared"].split(","), True, Path(chosen["hair"]))
    _, kept, codes = learn(people)
    check_same_people(codes, Appearance.load().people)
    synthetic, training, others = drawn(judge, chosen), embedded(people, judge), held_out(Path(chosen["clips"]), judge)
    compared = chosen["compared"]
    return {
        "accepted": len(synthetic["distance"]) / (len(synthetic["distance"]) + synthetic["refused"]),
        "pairwise_drawn": pairwise(synthetic["embeddings"][:compared]),
        "pairwise_training": pairwise(training[:: max(len(training) // compared, 1)][:compared]),
        "pairwise_held_out": pairwise(others),
        "nearest_drawn": nearest(synthetic["embeddings"], training),
        "nearest_held_out": nearest(others, training),
        "distance": synthetic["distance"],
        "seconds": synthetic["seconds"],
        **{f"recognised_{key}": value for key, value in recognized(kept, judge).items()},
    }


def summary(values: np.ndarray) -> dict[str, float]:
    """Returns mean, 95th percentile and largest value."""
    return {"mean": float(values.mean()), "95 %": float(np.percentile(values, 95)), "largest": float(values.max())}


def markdown(measures: dict[str, Any]) -> str:
    """Returns the table of cosines and two sentences about the draws."""
    titles = {
        "pairwise_drawn": "invented people with each other",
        "pairwise_training": "training people with each other",
        "pairwise_held_out": "held-out people with each other",
        "nearest_drawn": "invented person to the nearest training person",
        "nearest_held_out": "held-out person to the nearest training person",
        "recognised_own": "training person to what the kept numbers show of them",
        "recognised_others": "training person to what the kept numbers show of others",
    }
    lines = [[title, *(f"{value:.3f}" for value in summary(measures[key]).values())] for key, title in titles.items()]
    distances, ranks = measures["distance"], measures["recognised_rank"]
    return "\n\n".join(
        [
            f"{len(distances)} people; {measures['accepted']:.1%} of the draws show a face where the model says it is; "
            f"{measures['seconds']:.2f} s a person. Distance to the nearest training person {distances.min():.2f} to "
            f"{distances.max():.2f}, median {np.median(distances):.2f} standard deviations.",
            common.table(["cosine of identity embeddings (MobileFaceNet)", "mean", "95 %", "largest"], lines),
            f"By the numbers that are kept of them {np.mean(ranks == 0):.1%} of {len(ranks)} training people are found "
            f"as the nearest of all (by chance {1 / len(ranks):.1%}); median place {np.median(ranks) + 1:.0f}.",
        ]
    )


def main(argv: list[str]) -> None:
    """Measures the synthetic identities and writes the report."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "clips", "csim", "hair")
    measures = measured(chosen)
    named = {**chosen, "prepared": ",".join(Path(folder).name for folder in chosen["prepared"].split(","))}
    short = {key: summary(v) if isinstance(v, np.ndarray) and len(v) > 1000 else v for key, v in measures.items()}
    report = {"command": common.command("benchmarks.studies.sampling", named), "machine": common.machine(), **short}
    report["appearance"] = {"name": SHIPPED.name, "sha256": common.sha256(SHIPPED)}
    common.write_report(chosen["out"], report, markdown(measures))


if __name__ == "__main__":
    common.run(main, __doc__)
