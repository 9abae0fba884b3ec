"""People who do not exist, in a picture of all or moved alike by one driver.

python -m fewshot_heads.creative.sample driver.mp4 count=12 seed=3

Each is a draw of the model of appearance (`appearance`), far enough from everybody it was learned from, in which the
landmark detector finds a face where the model says it is. Person i of a seed is the same whatever the count.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.config import plain
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import check_output, is_driver, opened, tracked
from fewshot_heads.creative.appearance import Appearance
from fewshot_heads.creative.cast import Acting
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput, NoFaceFound, OutputError, UsageError
from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import resized
from fewshot_heads.media.images import WRITTEN as PICTURES
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.renderer import HeadRenderer

HEAD = ".safetensors"
_ACCEPTED = 0.05  # of the face's size: how far on average the detector's points may lie from the model's
_TRIES = 20  # pictures without a face after which there is none to be had
_PREVIEW = 128  # pixels of a person's side


@dataclass(frozen=True)
class Sample(Acting):
    """Who is drawn and how they move; the keys of conf/sample.yaml, which says what they mean."""

    seed: int = 0
    count: int = 12
    truncation: float = 0.8
    min_distance: float | None = None

    def check(self) -> None:
        super().check()
        if self.count < 1:
            raise BadInput(f"count={self.count}: expected 1 or more")
        if self.seed < 0:
            raise BadInput(f"seed={self.seed}: expected 0 or more")


@dataclass(frozen=True)
class Somebody:
    """head: made of the invented picture. distance: see `appearance.Invented`. refused: draws without a face before."""

    head: Head
    distance: float
    refused: int


def sample(
    reenactor: Reenactor, settings: Sample | None = None, appearance: Appearance | None = None
) -> Iterator[Somebody]:
    """`count` people who do not exist, lazily; appearance: None is the shipped model.

    Raises BadInput for settings and a min_distance out of reach, NoFaceFound for a model that draws no faces.
    """
    settings = settings or Sample()
    settings.check()
    model = appearance or Appearance.load()
    return (_somebody(reenactor, settings, model, i) for i in range(settings.count))


def _somebody(reenactor: Reenactor, settings: Sample, model: Appearance, number: int) -> Somebody:
    rng = np.random.default_rng([settings.seed, number])
    for refused in range(_TRIES):
        drawn = model.draw(rng, settings.truncation, settings.min_distance)
        seen = reenactor.detectors[0].detect(drawn.picture)
        if seen:
            off = np.linalg.norm(seen[0].points - drawn.landmarks.points, axis=1).mean()
            if off < _ACCEPTED * drawn.landmarks.size:
                return Somebody(reenactor.embed([drawn.picture], crop="full"), drawn.distance, refused)
    raise NoFaceFound(f"person {number} of seed {settings.seed}: no face in {_TRIES} draws; use another seed")


def moved(
    reenactor: Reenactor, heads: Sequence[Head], driver: Motion, settings: Sample | None = None
) -> Iterator[np.ndarray]:
    """Frames of all heads side by side, moving alike; lazily, uint8 [rows R, columns R, 3]. Raises BadInput."""
    settings = settings or Sample()
    settings.check()
    faces = [settings.follow(head, driver, reenactor.size) for head in heads]
    generator, device = reenactor.networks.generator, reenactor.device
    painters = [
        HeadRenderer(head, generator, reenactor.size, device, settings.side, reenactor.inpainters) for head in heads
    ]
    mouths = settings.mouths(driver)
    for first in range(0, len(driver), settings.batch):
        now = slice(first, first + settings.batch)
        shown = mouths and mouths[now]
        people = [painter.paint(own[now], True, shown) for painter, own in zip(painters, faces, strict=True)]
        yield from map(grid, zip(*people, strict=True))


def grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 [S, S, 3] each to one picture, about a third wider than high; what is left over is black."""
    columns = min(len(pictures), round((4 / 3 * len(pictures)) ** 0.5) or 1)
    missing = [np.zeros_like(pictures[0])] * (-len(pictures) % columns)
    tiles = [*pictures, *missing]
    return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])


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
    config = plain("sample", overrides)
    settings = Sample(**{field.name: config[field.name] for field in fields(Sample)})
    kinds, suffix = (WRITTEN, ".mp4") if driver_path else ((*PICTURES, HEAD), ".jpg")
    output = arguments.output or Path(f"people_{settings.seed}{suffix}")
    check_output(output, kinds, arguments.overwrite, [Path(name) for name in names])
    if output.suffix.lower() == HEAD and settings.count != 1:
        raise OutputError(f"{output}: holds one head; use count=1")
    driver = read_video(driver_path) if driver_path else None
    reenactor = opened(config)
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
    motion = tracked(reenactor, driver, config)
    with VideoWriter(output, driver, config["crf"], mark=mark, overwrite=arguments.overwrite) as out:
        for frame in tqdm(moved(reenactor, heads, motion, settings), "sample", len(motion), disable=None, unit="frame"):
            out.add(frame)
    return output


if __name__ == "__main__":
    sys.exit(main())
