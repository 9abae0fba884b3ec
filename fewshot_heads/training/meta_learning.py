"""Stage one: trains networks on prepared footage of many people.

Zakharov et al., ICCV 2019, sec. 3.2.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fewshot_heads.datasets.batches import AnyBatch, collate
from fewshot_heads.datasets.clips import Clip, hold_out
from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings
from fewshot_heads.datasets.layer_store import LayerStore
from fewshot_heads.datasets.parsing_crops import ParsingCrops
from fewshot_heads.datasets.parsing_labels import LabelStore
from fewshot_heads.datasets.region_crops import RegionCrops
from fewshot_heads.datasets.shards import open_shards
from fewshot_heads.errors import BadInput, WeightsMismatch
from fewshot_heads.landmarks import N_POINTS
from fewshot_heads.models.checkpoint import Checkpoint, load_checkpoint, pick_device, save_checkpoint
from fewshot_heads.training.loop import train
from fewshot_heads.training.parsing import ParsingTraining
from fewshot_heads.training.run_state import Optim
from fewshot_heads.training.trainer import Training

_log = logging.getLogger(__name__)
# Losses that an inpainter cannot have, and what it lacks for each.
_NOT_FOR_INPAINTERS = {
    "match": "e_hat to match with W",
    "vggface": "whole face to see",
    "identity": "whole face to see",
}
_PRIVATE_DATA = ("identities", "holdout_fraction", "person_segmenter", "hair_segmenter", "labels", "layers")
_PARSING_LOSSES = ("person", "head", "l1", "gradient")
_HOLDOUT_EPISODES = 8  # episodes of held-out frames in the grids and in the log


def meta_learn(roots: Sequence[str], out: Path, config: Mapping[str, Any]) -> Path:
    """Trains embedder and generator, an inpainter or a parsing network, and returns the path of the weights.

    A run is resumed if `out` has one.

    Args:
        roots: folders or URLs that `prepare` wrote.
        out: folder of the run, for checkpoint, log, grids and weights.
        config: conf/meta_learn.yaml as plain dictionaries, not changed.

    Raises:
        BadInput: no footage, footage of another size, or settings that do not fit each other.
        WeightsMismatch: the initial weights have another architecture.
    """
    spec = {key: value for key, value in config["model"].items() if key != "name"}
    runtime, criterion = config["runtime"], config["criterion"]
    _check(config, spec, out)
    accelerator = _accelerator(runtime)

    # Load the footage.
    data = dict(config["data"])
    labels = _label_store(data, out) if spec["architecture"] == "parsing" else None
    identities, share = {str(name) for name in data.pop("identities")}, data.pop("holdout_fraction")
    layers = Path(data.pop("layers", None) or out / "layers")
    clips, held_out = hold_out(_load_clips(roots, identities), share)
    settings = EpisodeSettings(**data)

    # Draw episodes of it.
    is_inpainter = spec["architecture"] == "inpainter"
    dataset: Callable[..., Episodes] = Episodes
    if is_inpainter:
        dataset = partial(RegionCrops, size=spec["size"], part=spec["part"])
    if labels is not None:
        dataset = partial(ParsingCrops, labels=labels, size=spec["size"])
    episodes = dataset(clips, config["steps"] * config["batch"], settings, config["seed"])
    if episodes.size != spec["size"]:
        raise BadInput(f"{roots[0]}: pictures of {episodes.size} px; use model.size={episodes.size} or prepare anew")
    episodes.layers = LayerStore(layers)  # not for held-out frames: nothing is written before the run has begun
    unseen = _holdout_batch(dataset, held_out, settings, config["seed"])

    # Construct the networks.
    start = _load_start(config["init_from"], spec, config["model"]["name"])
    optim, networks = Optim(**config["optim"]), start.networks if start else None
    training: Training | ParsingTraining
    if labels is not None:
        training = ParsingTraining(spec, config["steps"], criterion, optim, accelerator, config["seed"], networks)
    else:
        training = Training(
            spec, episodes.rows, config["steps"], criterion, optim, accelerator, settings.patch_size,
            config["seed"], networks,
        )  # fmt: skip
    if runtime["compile"]:
        training.compile()

    # Train them.
    minutes, grid_every = config["checkpoint_minutes"], config["grid_every"]
    train(
        training, episodes, out, config["batch"], runtime["workers"], minutes, grid_every, config["tensorboard"], unseen
    )
    if not accelerator.is_main_process:
        return out
    history = _history(config, len(episodes.identities), start.sha256 if start else None)
    about = {"spec": spec, "training": history}
    return save_checkpoint(training.ema, out, config["model"]["name"], about, getattr(training, "critic", None))


def same_architecture(spec: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Returns whether weights of one specification fit the other.

    Only the layers of the paper's networks depend on the image size.

    Args:
        spec: specification of the weights.
        other: specification of the networks.
    """
    free = {} if other["architecture"] == "paper" else {"size": other["size"]}
    return {**spec, **free} == other


def _check(config: Mapping[str, Any], spec: Mapping[str, Any], out: Path) -> None:
    """Raises BadInput for settings that do not fit each other."""
    if config["steps"] < 1:
        raise BadInput("steps=0: nothing would be learnt; expected 1 or more")
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: a file; -o names the folder of the run")
    if spec["architecture"] == "parsing" and (
        set(config["criterion"]) != set(_PARSING_LOSSES) or "person_segmenter" not in config["data"]
    ):
        raise BadInput("model=parsing: needs data=parsing_crops and criterion=parsing; take experiment=parsing")
    for term, lacks in _NOT_FOR_INPAINTERS.items():
        if spec["architecture"] == "inpainter" and config["criterion"].get(term, {}).get("weight"):
            raise BadInput(f"criterion.{term}: an inpainter has no {lacks}; take criterion=inpainter")


def _label_store(data: dict[str, Any], out: Path) -> LabelStore:
    """Takes the keys of labels out of conf/data and returns the labels that the parsing network learns."""
    keys = ("person_segmenter", "hair_segmenter", "labels")
    person, hair, folder = (data.pop(key, None) for key in keys)
    if not (person and hair):
        raise BadInput("parsing is learnt from two segmenters; name data.person_segmenter and data.hair_segmenter")
    folder = Path(folder or out / "labels")
    folder.mkdir(parents=True, exist_ok=True)
    return LabelStore(folder, person, hair)


def _accelerator(runtime: Mapping[str, Any]) -> Any:
    """Returns Hugging Face's `Accelerator` for the device and precision of conf/runtime."""
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise BadInput("training needs more packages; pip install 'fewshot_heads[train]'") from error
    try:
        device = pick_device(runtime["device"])
    except BadInput as error:
        raise BadInput(f"runtime.device={runtime['device']} is not there; add runtime=cpu, or runtime=auto") from error
    precision = {"float32": "no", "bfloat16": "bf16"}[runtime["precision"]]
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision)


def _load_clips(roots: Sequence[str], identities: set[str]) -> list[Clip]:
    """Returns the training clips of the given identities, or of all if none is given."""
    clips: list[Clip] = []
    for root in roots:
        first, *rest = open_shards(root)
        if first.landmarks.shape[1] == N_POINTS:
            _log.warning("%s: has no skin between the landmarks, which carries faces; see docs/training.md", root)
        clips += [clip for clip in (first, *rest) if not identities or clip.identity in identities]
    if not clips:
        raise BadInput(f"{', '.join(roots)}: no footage of {', '.join(sorted(identities))}; see its index.jsonl")
    return clips


def _holdout_batch(
    dataset: Callable[..., Episodes], clips: list[Clip], settings: EpisodeSettings, seed: int
) -> AnyBatch | None:
    """Returns a batch of held-out frames, not augmented; None if no clip has two."""
    longest = max((len(clip.frames) for clip in clips), default=0)
    if longest <= 1:
        return None
    plain = replace(
        settings, k_shot=min(settings.k_shot, longest - 1), augment=0.0, degradation_prob=0.0, pseudo_pair_prob=0.0
    )
    episodes = dataset(clips, _HOLDOUT_EPISODES, plain, seed)
    return collate([episodes[i] for i in range(len(episodes))])


def _load_start(path: str | None, spec: Mapping[str, Any], name: str) -> Checkpoint | None:
    """Returns the initial weights, or None without a path."""
    if not path:
        return None
    start = load_checkpoint(path)
    if not same_architecture(start.about["spec"], spec):
        raise WeightsMismatch(f"init_from={path}: has another architecture than model={name}; they must agree")
    return start


def _history(config: Mapping[str, Any], identities: int, start: str | None) -> dict[str, Any]:
    """Returns the description of the training for the JSON file of the weights."""
    settings = {key: config[key] for key in ("steps", "batch", "seed", "data", "optim")}
    terms = {name: dict(term) for name, term in config["criterion"].items()}
    for term in terms.values():
        if term.get("weights"):
            term["weights"] = Path(term["weights"]).name  # the user's folders stay private
    data = {key: value for key, value in config["data"].items() if key not in _PRIVATE_DATA}
    return {**settings, "data": data, "criterion": terms, "identities": identities, "start": start}
