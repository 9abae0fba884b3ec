"""Metamorphosis: one person becomes another, and another, while a driver, or a gentle motion of its own, moves them.

python -m fewshot_heads.creative.morph mona_lisa.jpg anna.jpg driver.mp4

A person is a point: face shape and pose, e_hat and style, pictures and, fine-tuned, a generator. What lies between is
a weighted mean of each. The generator paints everybody present as that one face in that one style, eyes on eyes and
mouth on mouth, and the paintings dissolve into each other. At a person the frame is their plain reenactment.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.config import plain
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import check_output, is_driver, opened, tracked
from fewshot_heads.creative import paths
from fewshot_heads.creative.cast import Acting, Cast, check_made_by, check_words, load_person
from fewshot_heads.driving.mouth_crop import Mouth
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput, UsageError
from fewshot_heads.head import Head
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.media.images import WRITTEN as PICTURES
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import exact_rate, read_video
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter
from fewshot_heads.reenactor import Reenactor

STOPS, _COLUMNS = 16, 8  # of the preview


@dataclass(frozen=True)
class Morph(Acting):
    """How people become one another; the keys of conf/morph.yaml, which says what they mean."""

    path: str = "spherical"
    easing: str = "smooth"
    loop: bool = False
    truncation: float = 1.0
    shape_of: int | None = None
    colours_of: int | None = None
    seconds: float = 4.0
    rate: float = 25

    def frames(self, people: int) -> int:
        """How many there are without a driver."""
        return max(round(self.seconds * exact_rate(self.rate) * people), 2)


def morph(
    reenactor: Reenactor,
    heads: Sequence[Head],
    driver: Motion | Iterable[np.ndarray] | None = None,
    settings: Morph | None = None,
    only: Iterable[int] | None = None,
) -> Iterator[np.ndarray]:
    """Frames of the first person who becomes the second, and so on; lazily, uint8 [R, R, 3], R = `resolution`.

    driver: frames uint8 [H, W, 3] or their `Motion`, which the path spans; None lets them look about and blink for
    `seconds` a person. only: the frames wanted; None is all.
    Raises BadInput for settings and too few people, WeightsMismatch for heads of another generator.
    """
    settings = settings or Morph()
    _check(reenactor, heads, settings)
    if driver is not None and not isinstance(driver, Motion):
        driver = reenactor.track(driver)
    if driver is None:
        count = settings.frames(len(heads))
        moves = paths.looking_about(count, settings.rate)
        # No driver's landmarks to be taken as they are: the mean head's, moving.
        reenacted = [
            retarget(head.landmarks[0], moves, "relative", settings.pose, settings.expression, 0) for head in heads
        ]
    else:
        count = len(driver)
        reenacted = [settings.follow(head, driver, reenactor.size) for head in heads]
    at = paths.positions(count, len(heads), settings.easing, settings.loop)
    wanted = np.arange(count) if only is None else np.array(list(only), int)
    return mixed(Cast(reenactor, heads, settings.side), reenacted, at, wanted, settings, settings.mouths(driver))


def mixed(
    cast: Cast,
    reenacted: list[list[Landmarks]],
    at: np.ndarray,
    wanted: np.ndarray,
    settings: Morph,
    mouths: list[Mouth] | None = None,
) -> Iterator[np.ndarray]:
    """Frames uint8 [R, R, 3] of the cast as one person. reenacted: N faces of each of K people; at [N]: positions, 0
    the first person, 1 the second; wanted: indices of frames; mouths: N, see `HeadRenderer.paint`."""
    batch = 1 if cast.tuned else settings.batch
    for first in range(0, len(wanted), batch):
        now = wanted[first : first + batch]
        shapes, coarse, _ = _mixture(cast, settings, at[now], settings.shape_of)
        _, fine, weights = _mixture(cast, settings, at[now], settings.colours_of)
        # The pose goes with the pictures: they need not be turned to show another's shape.
        shares = list(zip(shapes, weights, strict=True))
        faces = [paths.between([own[i] for own in reenacted], *each) for i, each in zip(now, shares, strict=True)]
        rest = [paths.between(cast.portraits, *each) for each in shares]
        half = coarse.shape[1] // 2  # a style goes from coarse layers to fine ones
        style = np.concatenate([coarse[:, :half], fine[:, half:]], 1)
        yield from cast.paint(faces, rest, style, weights, mouths=mouths and [mouths[i] for i in now])


def _mixture(
    cast: Cast, settings: Morph, at: np.ndarray, only: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much of each person's shape [B, K], the style [B, P], and how much of their pixels [B, K]."""
    people = len(cast.e_hats)
    at = at if only is None else np.full(len(at), float(only))
    weights = paths.shares(at, people)
    shapes = paths.spline_shares(at, people, settings.loop) if settings.path == "spline" else weights
    e_hats = paths.spherical(cast.e_hats, at) if settings.path == "spherical" else shapes @ cast.e_hats
    even = np.full(people, 1 / people)
    shapes, weights = (paths.truncated(each, even, settings.truncation) for each in (shapes, weights))
    return shapes, cast.style(paths.truncated(e_hats, cast.e_hats.mean(0), settings.truncation), shapes), weights


def _check(reenactor: Reenactor, heads: Sequence[Head], settings: Morph) -> None:
    if len(heads) < 2:
        raise BadInput(f"a morph needs two people or more, {len(heads)} came; give another picture or head")
    for i, head in enumerate(heads):
        check_made_by(reenactor, head, f"head {i}")
    check_words(settings, path=paths.PATHS, easing=tuple(paths.EASINGS))
    settings.check()
    for name in ("shape_of", "colours_of"):
        person = getattr(settings, name)
        if person is not None and not 0 <= person < len(heads):
            raise BadInput(f"{name}={person}: there are people 0 to {len(heads) - 1}")
    if not 0 <= settings.truncation <= 1:
        raise BadInput(f"truncation={settings.truncation}: expected a number from 0 to 1")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    parser = make_parser(
        "morph",
        "PERSON PERSON [PERSON ...] [DRIVER] [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
        "One person becomes the next, moved by a driving video or, without one, looking about and blinking.",
        ".mp4, .webm or .gif; default <first>_to_<last>.mp4 here",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="PERSON ... DRIVER",
        help="a picture of each person, or their saved head (.safetensors); last, if any, a video, gif or folder",
    )  # fmt: skip
    parser.add_argument("--preview", action="store_true", help=f"only a picture of {STOPS} frames; default a .jpg")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _morph(arguments), arguments.debug)


def _morph(arguments: argparse.Namespace) -> Path:
    names, overrides = split_overrides(arguments.inputs)
    inputs = [Path(name) for name in names]
    people, driver_path = (inputs[:-1], inputs[-1]) if inputs and is_driver(inputs[-1]) else (inputs, None)
    if len(people) < 2:
        raise UsageError("give at least two people, each a picture or a saved head; --help shows how")
    for path in filter(is_driver, people):
        raise UsageError(f"{path}: a video is the driver and comes last; people are pictures or saved heads")
    config = plain("morph", overrides)
    settings = Morph(**{field.name: config[field.name] for field in fields(Morph)})
    kinds, suffix = (PICTURES, ".jpg") if arguments.preview else (WRITTEN, ".mp4")
    output = arguments.output or Path(f"{people[0].stem}_to_{people[-1].stem}{suffix}")
    check_output(output, kinds, arguments.overwrite, inputs)
    driver = read_video(driver_path) if driver_path else None
    reenactor = opened(config)
    heads = [load_person(reenactor, path, config["face"]) for path in people]
    motion = tracked(reenactor, driver, config) if driver else None
    mark = reenactor.provenance(composite=False)
    if arguments.preview:
        write_image(output, preview(reenactor, heads, motion, settings), mark, arguments.overwrite)
        return output
    count = settings.frames(len(heads)) if motion is None else len(motion)
    results = morph(reenactor, heads, motion, settings)
    with VideoWriter(output, driver or settings.rate, config["crf"], mark=mark, overwrite=arguments.overwrite) as out:
        for frame in tqdm(results, "morph", count, disable=None, unit="frame"):
            out.add(frame)
    return output


def preview(reenactor: Reenactor, heads: Sequence[Head], motion: Motion | None, settings: Morph) -> np.ndarray:
    """uint8 [2 S, 8 S, 3]: frames of the morph, evenly spread, row by row."""
    count = settings.frames(len(heads)) if motion is None else len(motion)
    only = np.linspace(0, count - 1, STOPS).round()
    frames = list(morph(reenactor, heads, motion, replace(settings, resolution=reenactor.size), only.astype(int)))
    return np.concatenate([np.concatenate(frames[i : i + _COLUMNS], 1) for i in range(0, STOPS, _COLUMNS)])


if __name__ == "__main__":
    sys.exit(main())
