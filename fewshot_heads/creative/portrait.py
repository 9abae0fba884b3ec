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
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import check_output, is_driver, open_reenactor, track_driver
from fewshot_heads.creative.blending.identity_blend import load_person
from fewshot_heads.creative.blending.portraits import Portrait, identity_similarity, portrait
from fewshot_heads.creative.blending.retrieval import gallery_files, load_gallery, nearest, synthetic_gallery
from fewshot_heads.errors import UsageError
from fewshot_heads.media.images import WRITTEN as PICTURES
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter
from fewshot_heads.metrics import Identity

_STRENGTHS = (0, 0.25, 0.5, 0.75, 1)  # of the preview


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    parser = make_parser(
        "portrait",
        "PHOTO [DRIVER] [gallery=FOLDER] [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
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
    config = load_config("portrait", overrides)
    settings, bank = Portrait(**{field.name: config[field.name] for field in fields(Portrait)}), config["gallery"]
    moving = driver_path is not None and not arguments.preview
    kinds, suffix = (WRITTEN, ".mp4") if moving else (PICTURES, ".jpg")
    output = arguments.output or Path(f"{photo.stem}_remembered{suffix}")
    check_output(output, kinds, arguments.overwrite, filter(None, (photo, driver_path)))
    if bank:
        gallery_files(Path(bank), photo)
    driver = read_video(driver_path) if driver_path and moving else None
    judge = Identity(config["face_recognizer"]) if config["face_recognizer"] else None
    reenactor = open_reenactor(config)
    sitter = load_person(reenactor, photo, config["source_face"])
    memory = load_gallery(reenactor, Path(bank), photo) if bank else synthetic_gallery(reenactor)
    neighbours = nearest(sitter, memory, settings.neighbours)
    print("\n".join(f"{each.share:4.0%} {each.name} (e_hat {each.similarity:.3f})" for each in neighbours))
    strengths = _STRENGTHS if arguments.preview else (settings.strength,)
    if arguments.preview:
        settings = replace(settings, resolution=reenactor.size)
    stills: list[np.ndarray] = []
    for strength in strengths:
        stills += portrait(reenactor, sitter, neighbours, None, replace(settings, strength=strength))
        alike = (
            f"{name} {value:.3f}" for name, value in identity_similarity(reenactor, sitter, stills[-1], judge).items()
        )
        print(f"strength {strength:g}: similarity to the sitter {', '.join(alike)}")
    mark = reenactor.provenance(composite=False)
    if driver is None:
        write_image(output, np.concatenate(stills, axis=1), mark, arguments.overwrite)
        return output
    results = portrait(reenactor, sitter, neighbours, motion := track_driver(reenactor, driver, config), settings)
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
        raise UsageError(f"{drivers[0]}: the driver is a video, gif or folder; others' pictures go into gallery=FOLDER")
    return photo, drivers[0] if drivers else None


if __name__ == "__main__":
    sys.exit(main())
