"""Command line: a folder of head clips in, trained weights out.

python -m fewshot_heads.meta_learn CLIPS -o RUN --vgg vgg19.npz
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from fewshot_heads.cli import make_parser, run, split_overrides
from fewshot_heads.config import compose
from fewshot_heads.errors import UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `animate` does."""
    parser = make_parser(
        "meta_learn",
        "CLIPS [CLIPS ...] -o RUN --vgg FILE [key=value ...]",
        "Trains embedder and generator on <CLIPS>/<identity>/*.mp4; a RUN that exists is gone on with.",
    )
    parser.add_argument("inputs", nargs="+", metavar="CLIPS", help="folders of square head clips or pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for checkpoint, log and pictures")
    parser.add_argument("--vgg", type=Path, required=True, help=".npz with VGG19's convB_N.weight and .bias (Caffe)")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _meta_learn(arguments), arguments.debug)


def _meta_learn(arguments: argparse.Namespace) -> Path:
    folders, overrides = split_overrides(arguments.inputs)
    if not folders:
        raise UsageError("give at least one folder of clips; --help shows how")
    config = compose("meta_learn", overrides)

    from fewshot_heads.checkpoint import pick_device, save_checkpoint
    from fewshot_heads.datasets.clips import Pairs, unpack
    from fewshot_heads.extractors import VGG19Features
    from fewshot_heads.training import Settings, Training, train

    values = cast(dict[str, Any], OmegaConf.to_container(config))
    spec, weights = values.pop("model"), values.pop("criterion")
    workers, device = values.pop("workers"), pick_device(values.pop("device"))
    name = spec.pop("name")
    settings = Settings(weights=weights, **values)
    vgg = VGG19Features(arguments.vgg)
    clips = [clip for folder in folders for clip in unpack(folder, arguments.output / "unpacked", spec["size"])]
    pairs = Pairs(clips, settings.steps * settings.batch, settings.seed)
    training = Training(spec, len(pairs.identities), settings, vgg, device)
    train(training, pairs, arguments.output, workers)
    about = {"spec": spec, "training": {"steps": training.step, "identities": len(pairs.identities)}}
    return save_checkpoint(training.ema, arguments.output, name, about)


if __name__ == "__main__":
    sys.exit(main())
