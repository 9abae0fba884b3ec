"""A portrait out of memory: the sitter as faces seen before would have it.

python -m fewshot_heads.creative.portrait anna.jpg bank=paintings

The people of a bank whose e_hat is nearest to the sitter's are the memory; without a bank, they are invented. The
sitter's e_hat, style and pixels are drawn toward theirs, while the geometry stays: every picture is painted onto the
sitter's landmarks. Hair and background are the sitter's up to strength 0.5, then dissolve into the nearest neighbour's.
Strength 0 is the plain reenactment.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fewshot_heads.cli.config import plain
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import check_output, is_driver, opened, tracked
from fewshot_heads.creative.bank import Neighbour, bank_files, invented, nearest, recall
from fewshot_heads.creative.cast import Acting, Cast, check_made_by, load_person
from fewshot_heads.driving.mouth_crop import Mouth
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput, UsageError
from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.media.images import WRITTEN as PICTURES
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter
from fewshot_heads.metrics import Identity, csim
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.renderer import rasterize_landmarks

_STRENGTHS = (0, 0.25, 0.5, 0.75, 1)  # of the preview


@dataclass(frozen=True)
class Portrait(Acting):
    """How much of the memory there is and how it moves; the keys of conf/portrait.yaml, which says what they mean."""

    strength: float = 0.5
    neighbours: int = 3

    def check(self) -> None:
        super().check()
        if not 0 <= self.strength <= 1:
            raise BadInput(f"strength={self.strength}: expected a number from 0 to 1")


def portrait(
    reenactor: Reenactor,
    sitter: Head,
    neighbours: Sequence[Neighbour],
    driver: Motion | Iterable[np.ndarray] | None = None,
    settings: Portrait | None = None,
) -> Iterator[np.ndarray]:
    """Frames of the sitter remembered through the neighbours; lazily, uint8 [R, R, 3], R = `resolution`.

    driver: frames uint8 [H, W, 3] or their `Motion`; None is one frame, the sitter as in the picture.
    Raises BadInput for settings and a memory of nobody, WeightsMismatch for heads of another generator.
    """
    settings = settings or Portrait()
    settings.check()
    if not neighbours:
        raise BadInput("a portrait out of memory needs a neighbour or more, none came; give a bank with faces")
    heads = [sitter, *(each.head for each in neighbours)]
    for name, head in zip(("the sitter", *(each.name for each in neighbours)), heads, strict=True):
        check_made_by(reenactor, head, name)
    if driver is not None and not isinstance(driver, Motion):
        driver = reenactor.track(driver)
    faces = sitter.landmarks[:1] if driver is None else settings.follow(sitter, driver, reenactor.size)
    cast = Cast(reenactor, heads, settings.side)
    weights = np.array([[1 - settings.strength, *(settings.strength * each.share for each in neighbours)]])
    return _frames(cast, faces, weights, settings, settings.mouths(driver))


def _frames(
    cast: Cast, faces: list[Landmarks], weights: np.ndarray, settings: Portrait, mouths: list[Mouth] | None
) -> Iterator[np.ndarray]:
    """weights [1, K]: the sitter's and the neighbours' shares of every frame."""
    style = cast.style(weights @ cast.e_hats, weights)
    # Features lie on one another, hair and backgrounds do not: there two pictures at most, and one by default.
    gone = float(np.clip(2 * settings.strength - 1, 0, 1))
    around = np.zeros_like(weights)
    around[0, :2] = 1 - gone, gone
    for first in range(0, len(faces), settings.batch):
        batch = slice(first, first + settings.batch)
        now = faces[batch]
        styles, inside, outside = (each.repeat(len(now), 0) for each in (style, weights, around))
        rest = cast.portraits[:1] * len(now)
        yield from cast.paint(now, rest, styles, inside, outside, mouths and mouths[batch])


def likeness(reenactor: Reenactor, sitter: Head, frame: np.ndarray, judge: Identity | None = None) -> dict[str, float]:
    """Cosines, -1 to 1, of the sitter and a frame painted on the sitter's landmarks: of e_hat, and of a judge.

    frame: uint8 [R, R, 3], as `portrait` paints it without a driver.
    """
    seat, size = sitter.landmarks[0], reenactor.size
    frames = to_tensor(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA))[None, None]
    with torch.inference_mode():
        pair = (each.to(reenactor.device) for each in (frames, rasterize_landmarks([seat], size)[None]))
        seen = reenactor.networks.embedder(*pair)[0, 0]
    result = {"e_hat": float(csim(sitter.e_hat.numpy(), seen.cpu().numpy()))}
    if judge:
        pictures = (sitter.textures[0], frame)
        embeddings = [judge(each[None], seat.points[None] * (each.shape[0] / size))[0] for each in pictures]
        result[judge.name] = float(csim(*embeddings))
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    parser = make_parser(
        "portrait",
        "PHOTO [DRIVER] [bank=FOLDER] [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
        "The sitter of a picture, re-imagined out of a memory of faces; moved by a driving video, if there is one.",
        "a picture or, with a driver, .mp4, .webm or .gif; default <photo>_remembered.jpg or .mp4 here",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="PHOTO DRIVER",
        help="a picture of the sitter or a saved head (.safetensors); then, if any, a video, gif or folder of frames",
    )  # fmt: skip
    parser.add_argument("--preview", action="store_true", help="only a picture of strengths 0 to 1, without the driver")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _portrait(arguments), arguments.debug)


def _portrait(arguments: argparse.Namespace) -> Path:
    names, overrides = split_overrides(arguments.inputs)
    photo, driver_path = _inputs([Path(name) for name in names])
    config = plain("portrait", overrides)
    settings, bank = Portrait(**{field.name: config[field.name] for field in fields(Portrait)}), config["bank"]
    moving = driver_path is not None and not arguments.preview
    kinds, suffix = (WRITTEN, ".mp4") if moving else (PICTURES, ".jpg")
    output = arguments.output or Path(f"{photo.stem}_remembered{suffix}")
    check_output(output, kinds, arguments.overwrite, filter(None, (photo, driver_path)))
    if bank:
        bank_files(Path(bank), photo)
    driver = read_video(driver_path) if driver_path and moving else None
    judge = Identity(config["judge"]) if config["judge"] else None
    reenactor = opened(config)
    sitter = load_person(reenactor, photo, config["face"])
    memory = recall(reenactor, Path(bank), photo) if bank else invented(reenactor)
    neighbours = nearest(sitter, memory, settings.neighbours)
    print("\n".join(f"{each.share:4.0%} {each.name} (e_hat {each.similarity:.3f})" for each in neighbours))
    strengths = _STRENGTHS if arguments.preview else (settings.strength,)
    if arguments.preview:
        settings = replace(settings, resolution=reenactor.size)
    stills: list[np.ndarray] = []
    for strength in strengths:
        stills += portrait(reenactor, sitter, neighbours, None, replace(settings, strength=strength))
        alike = (f"{name} {value:.3f}" for name, value in likeness(reenactor, sitter, stills[-1], judge).items())
        print(f"strength {strength:g}: similarity to the sitter {', '.join(alike)}")
    mark = reenactor.provenance(composite=False)
    if driver is None:
        write_image(output, np.concatenate(stills, axis=1), mark, arguments.overwrite)
        return output
    results = portrait(reenactor, sitter, neighbours, motion := tracked(reenactor, driver, config), settings)
    with VideoWriter(output, driver, config["crf"], mark=mark, overwrite=arguments.overwrite) as out:
        for frame in tqdm(results, "portrait", len(motion), disable=None, unit="frame"):
            out.add(frame)
    return output


def _inputs(paths: list[Path]) -> tuple[Path, Path | None]:
    """The sitter's picture and the driver, if any."""
    if not 1 <= len(paths) <= 2:
        raise UsageError("give a picture of the sitter and, if it is to move, a driver; --help shows how")
    photo, *drivers = paths
    if is_driver(photo):
        raise UsageError(f"{photo}: a video is the driver and comes last; the sitter is a picture or a saved head")
    if drivers and not is_driver(drivers[0]):
        raise UsageError(f"{drivers[0]}: the driver is a video, gif or folder; others' pictures go into bank=FOLDER")
    return photo, drivers[0] if drivers else None


if __name__ == "__main__":
    sys.exit(main())
