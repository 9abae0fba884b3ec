"""Study: whose mouth an inpainter fills in, when the image does not tell.

python -m benchmarks.studies.person run=RUN data=PREPARED,... [samples=6000 share=0.25 gain=2]

The center of all people of a training run is as soft as most of its footage. The center of those with sharp mouths is
not, and beyond it teeth are crisper than theirs, and nobody's. Writes the weights of RUN again, with that vector, and
prints their path.

share    of the people, those with the sharpest insides
gain     how far the vector goes from the center toward theirs; 1 is their own center
samples  crops that are looked at
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import trange

from benchmarks import common
from fewshot_heads.datasets.episodes import EpisodeSettings
from fewshot_heads.datasets.region_crops import RegionCrops
from fewshot_heads.datasets.shards import open_shards
from fewshot_heads.errors import BadInput
from fewshot_heads.features.loading import read_state_dict
from fewshot_heads.models.building import build
from fewshot_heads.models.checkpoint import save_checkpoint

DEFAULTS = {"run": "", "data": "", "samples": 6000, "share": 0.25, "gain": 2.0}
_FINE_PIXELS = 1.2  # standard deviation; finer detail of a crop of 64 pixels is sharpness
_LEAST_LIGHT = 0.1  # added to the light that sharpness is divided by: noise in the dark is none
_MIN_HOLE_PIXELS, _MIN_SAMPLES = 40, 3  # less tells nothing of a person


def sharpness(image: np.ndarray, hole: np.ndarray) -> float:
    """Returns the contrast of fine detail in a hole, over its light; NaN for a small hole.

    Args:
        image: float32 [S, S], 0 to 1.
        hole: bool [S, S].
    """
    if hole.sum() < _MIN_HOLE_PIXELS:
        return float("nan")
    fine = image - cv2.GaussianBlur(image, (0, 0), _FINE_PIXELS)
    return float(fine[hole].std() / (image[hole].mean() + _LEAST_LIGHT))


def sharpest_people(crops: RegionCrops, share: float) -> list[int]:
    """Returns the rows of the people with the sharpest insides, see `RegionCrops.rows`.

    Args:
        crops: samples that are not augmented.
        share: of the people that are seen often enough.
    """
    found: dict[int, list[float]] = {}
    for i in trange(len(crops), desc="sharpness", unit="crop", disable=None):
        sample = crops[i]
        light = ((sample.target.mean(0) + 1) / 2).numpy()
        found.setdefault(int(sample.identity), []).append(sharpness(light, sample.hole[0].numpy() > 0.5))
    medians = {row: np.nanmedian(values) for row, values in found.items() if np.isfinite(values).sum() >= _MIN_SAMPLES}
    count = max(round(share * len(medians)), 1)
    rows = sorted(medians, key=lambda row: -medians[row])[:count]
    return rows + [row + len(crops.identities) for row in rows]  # and mirrored


def main(argv: list[str]) -> None:
    """Writes the weights of a run with the chosen vector."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "run")
    run = Path(chosen["run"])
    reports = [path for path in run.glob("*.json") if path.with_suffix(".safetensors").is_file()]
    if len(reports) != 1 or not chosen["data"]:
        raise BadInput(f"run={run} data={chosen['data']}: name a finished run with one file of weights, and its data")
    about = json.loads(reports[0].read_text())
    clips = [clip for root in chosen["data"].split(",") for clip in open_shards(root)]
    plain = EpisodeSettings(k_shot=1)
    crops = RegionCrops(clips, chosen["samples"], plain, size=about["spec"]["size"], part=about["spec"]["part"])
    state = read_state_dict(run / "state.pt")["ema"]
    people = state.pop("people.weight")
    if len(people) != crops.rows:
        raise BadInput(f"data={chosen['data']}: has {crops.rows // 2} people, the run {len(people) // 2}")
    rows = sharpest_people(crops, chosen["share"])
    state["person"] = state["person"] + chosen["gain"] * (people[rows].mean(0) - people.mean(0))
    network = build(about["spec"])
    network.load_state_dict(state)
    choice = {key: chosen[key] for key in ("samples", "share", "gain")} | {"people": len(rows) // 2}
    about["training"] |= {"person": choice}
    (run / "person").mkdir(exist_ok=True)
    print(save_checkpoint(network, run / "person", about["name"], about))


if __name__ == "__main__":
    common.run(main, __doc__)
