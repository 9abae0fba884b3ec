"""Command line: prepared footage in, trained weights out (stage one of Zakharov et al., ICCV 2019).

python -m fewshot_heads.meta_learn DATA -o RUN
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fewshot_heads.cli import make_parser, run, split_overrides
from fewshot_heads.config import plain
from fewshot_heads.errors import BadInput, UsageError, WeightsMismatch

_log = logging.getLogger(__name__)
_UNSEEN = 8  # episodes of held-out frames in the grids


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    parser = make_parser(
        "meta_learn",
        "DATA [DATA ...] -o RUN [key=value ...]",
        "Trains embedder and generator on what `prepare` made; a RUN that exists is gone on with. For several "
        "processes: torchrun --nproc-per-node N -m fewshot_heads.meta_learn ...",
    )
    parser.add_argument("inputs", nargs="+", metavar="DATA", help="folders (or URLs) that `prepare` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for checkpoint, log and pictures")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _meta_learn(arguments.inputs, arguments.output), arguments.debug)


def _meta_learn(inputs: Sequence[str], out: Path) -> Path:
    roots, overrides = split_overrides(inputs)
    if not roots:
        raise UsageError("give at least one folder that prepare wrote; --help shows how")
    config = plain("meta_learn", overrides)
    spec, data, runtime = config["model"], config["data"], config["runtime"]
    name = spec.pop("name")
    if config["steps"] < 1:
        raise BadInput("steps=0: nothing would be learnt; expected 1 or more")
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: a file; -o names the folder of the run")
    accelerator = _accelerator(runtime)

    from fewshot_heads.datasets.clips import Clip, hold_out
    from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings
    from fewshot_heads.datasets.region_crops import Insides
    from fewshot_heads.datasets.shards import open_shards
    from fewshot_heads.landmarks import N_POINTS
    from fewshot_heads.models.checkpoint import load_checkpoint, save_checkpoint
    from fewshot_heads.runs import train
    from fewshot_heads.training import Optim, Training

    wanted, share = {str(name) for name in data.pop("identities")}, data.pop("hold_out")
    clips: list[Clip] = []
    for root in roots:
        first, *rest = open_shards(root)
        if first.landmarks.shape[1] == N_POINTS:
            _log.warning("%s: has no skin between the landmarks, which carries faces; see docs/training.md", root)
        clips += [clip for clip in (first, *rest) if not wanted or clip.identity in wanted]
    if not clips:
        raise BadInput(f"{', '.join(roots)}: no footage of {', '.join(sorted(wanted))}; see its index.jsonl")
    clips, kept = hold_out(clips, share)
    settings = EpisodeSettings(**data)
    inpaints = spec["architecture"] == "inpainter"
    if inpaints and config["criterion"].get("match", {}).get("weight"):
        raise BadInput("criterion.match: an inpainter has no e_hat to match with W; take criterion=inpainter")
    drawn = partial(Insides, size=spec["size"], part=spec["part"]) if inpaints else Episodes
    episodes = drawn(clips, config["steps"] * config["batch"], settings, config["seed"])
    longest = max((len(clip.frames) for clip in kept), default=0)
    kept = kept if longest > 1 else []
    unchanged = replace(settings, k_shot=min(settings.k_shot, longest - 1), augment=0.0, worn=0.0, pseudo=0.0)
    unseen = _collated(drawn(kept, _UNSEEN, unchanged, config["seed"])) if kept else None
    if episodes.size != spec["size"]:
        raise BadInput(f"{roots[0]}: pictures of {episodes.size} px; use model.size={episodes.size} or prepare anew")
    start = load_checkpoint(config["start"]) if config["start"] else None
    if start and not _alike(start.about["spec"], spec):
        raise WeightsMismatch(f"start={config['start']}: has another architecture than model={name}; they must agree")
    training = Training(
        spec, len(episodes.identities), config["steps"], config["criterion"], Optim(**config["optim"]), accelerator,
        settings.patch, config["seed"], start.networks if start else None,
    )  # fmt: skip
    if runtime["compile"]:
        training.compile()
    train(
        training, episodes, out, config["batch"], runtime["workers"], config["save_minutes"], config["grid_every"],
        config["tensorboard"], unseen,
    )  # fmt: skip
    if not accelerator.is_main_process:
        return out
    about = {"spec": spec, "training": _account(config, episodes.identities, start.sha256 if start else None)}
    return save_checkpoint(training.ema, out, name, about, training.critic)


def _collated(episodes: Any) -> Any:
    from torch.utils.data import default_collate

    return default_collate([episodes[i] for i in range(len(episodes))])


def _accelerator(runtime: Mapping[str, Any]) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise BadInput("training needs more packages: pip install 'fewshot_heads[train]'") from error
    from fewshot_heads.models.checkpoint import pick_device

    try:
        device = pick_device(runtime["device"])
    except BadInput as error:
        raise BadInput(f"runtime.device={runtime['device']} is not there; add runtime=cpu, or runtime=auto") from error
    precision = {"float32": "no", "bfloat16": "bf16"}[runtime["precision"]]
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision)


def _alike(spec: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether weights of one are weights of the other. Only the paper's layers depend on the size of the picture."""
    free = {} if other["architecture"] == "paper" else {"size": other["size"]}
    return {**spec, **free} == other


def _account(config: Mapping[str, Any], identities: Sequence[str], start: str | None) -> dict[str, Any]:
    """What the weights' JSON says of how they came about."""
    kept = {key: config[key] for key in ("steps", "batch", "seed", "data", "criterion", "optim")}
    for term in kept["criterion"].values():
        if term.get("weights"):
            term["weights"] = Path(term["weights"]).name  # where files lie is nobody's business
    return {**kept, "identities": len(identities), "start": start}


if __name__ == "__main__":
    sys.exit(main())
