"""People who do not exist, in a picture of all or moved alike by one driver.

python -m fewshot_heads.creative.sample driver.mp4 count=12 seed=3

Each is a draw of the model of appearance (`appearance`), far enough from everybody it was learned from, in which the
landmark detector finds a face where the model says it is. Person i of a seed is the same whatever the count.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import check_output, is_driver, open_reenactor, track_driver
from fewshot_heads.creative.blending.sampling import Sample, grid, moved, sample
from fewshot_heads.errors import OutputError, UsageError
from fewshot_heads.imaging.convert import resized
from fewshot_heads.media.images import WRITTEN as PICTURES
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter

HEAD = ".safetensors"
_PREVIEW = 128  # pixels of a person's side


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    parser = make_parser(
        "sample",
        "[DRIVER] [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
        "People who do not exist: a picture of them or, with a driving video, all of them moving alike.",
        "a picture or, with a driver, .mp4, .webm or .gif; of count=1 also a head, .safetensors; default "
        "people_<seed>.jpg or .mp4 here",
    )
    parser.add_argument("inputs", nargs="*", metavar="DRIVER", help="a video, gif or folder of frames that moves them")
    parser.add_argument("--preview", action="store_true", help="only a small picture of them, without the driver")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _sample(arguments), arguments.debug)


def _sample(arguments: argparse.Namespace) -> Path:
    names, overrides = split_overrides(arguments.inputs)
    if len(names) > 1 or not all(is_driver(Path(name)) for name in names):
        raise UsageError(f"{names[-1]}: one driver at most, a video, gif or folder; --help shows how")
    driver_path = Path(names[0]) if names and not arguments.preview else None
    config = load_config("sample", overrides)
    settings = Sample(**{field.name: config[field.name] for field in fields(Sample)})
    kinds, suffix = (WRITTEN, ".mp4") if driver_path else ((*PICTURES, HEAD), ".jpg")
    output = arguments.output or Path(f"people_{settings.seed}{suffix}")
    check_output(output, kinds, arguments.overwrite, [Path(name) for name in names])
    if output.suffix.lower() == HEAD and settings.count != 1:
        raise OutputError(f"{output}: holds one head; use count=1")
    driver = read_video(driver_path) if driver_path else None
    reenactor = open_reenactor(config)
    people = list(tqdm(sample(reenactor, settings), "people", settings.count, disable=None, unit="person", leave=False))
    away = ", ".join(f"{each.distance:.2f}" for each in people)
    print(f"distance to the nearest training person: {away}")
    print(f"draws in which no face was found: {sum(each.refused for each in people)}")
    heads = [each.head for each in people]
    if output.suffix.lower() == HEAD:
        heads[0].save(output, arguments.overwrite)
        return output
    mark = reenactor.provenance(composite=False)
    if driver is None:
        side = _PREVIEW if arguments.preview else settings.side or heads[0].picture.shape[0]
        pictures = [resized(head.picture, side) for head in heads]
        write_image(output, grid(pictures), mark, arguments.overwrite)
        return output
    motion = track_driver(reenactor, driver, config)
    with VideoWriter(output, driver, config["crf"], mark=mark, overwrite=arguments.overwrite) as out:
        for frame in tqdm(moved(reenactor, heads, motion, settings), "sample", len(motion), disable=None, unit="frame"):
            out.add(frame)
    return output


if __name__ == "__main__":
    sys.exit(main())
