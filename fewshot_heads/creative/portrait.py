"""Command line: blends a portrait with its nearest neighbours in a gallery of faces.

python -m fewshot_heads.creative.portrait anna.jpg gallery=paintings

Neighbours are the faces whose e_hat is nearest to the person's. Without a gallery they are synthetic identities. The
person's e_hat, style and pixels are drawn toward the neighbours', while the geometry stays. Hair and background are the
person's up to strength 0.5, then they fade to the nearest neighbour's. Strength 0 is the plain reenactment.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fewshot_heads.cli.parser import make_parser, parse_and_run, print_details, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError

_PREVIEW_STRENGTHS = (0, 0.25, 0.5, 0.75, 1)


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = make_parser(
        "portrait",
        "PHOTO [DRIVER] [gallery=FOLDER] [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
        "Blends the person of a picture with the nearest faces of a gallery; a driving video, if any, moves it.",
        "a picture or, with a driver, .mp4, .webm or .gif; default <photo>_remembered.jpg or .mp4 here",
        preview="only a picture of strengths 0 to 1, without the driver",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="PHOTO DRIVER",
        help="a picture of the person or a saved head (.safetensors); then, if any, a driver: a video, "
        "gif, folder of frames or saved motion",
    )  # fmt: skip
    return parse_and_run(parser, _portrait, argv)


def _portrait(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import choose_output, read_driver, settings_of

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("portrait", overrides)
    photo, driver_path = _inputs([Path(name) for name in names])

    import numpy as np

    from fewshot_heads.cli.session import open_reenactor, track_driver, write_frames
    from fewshot_heads.creative.blending.identity_blend import load_person
    from fewshot_heads.creative.blending.portraits import Portrait, identity_similarity, portrait
    from fewshot_heads.creative.blending.retrieval import gallery_files, load_gallery, nearest, synthetic_gallery
    from fewshot_heads.media.images import WRITTEN as PICTURES
    from fewshot_heads.media.images import write_image
    from fewshot_heads.media.video_writer import WRITTEN
    from fewshot_heads.metrics import Identity

    settings = settings_of(Portrait, config)
    gallery = Path(config["gallery"]) if config["gallery"] else None
    moves = driver_path is not None and not arguments.preview
    suffixes, suffix = (WRITTEN, ".mp4") if moves else (PICTURES, ".jpg")
    inputs = [path for path in (photo, driver_path, gallery) if path]
    output = choose_output(arguments, f"{photo.stem}_remembered{suffix}", suffixes, inputs)
    if gallery:
        gallery_files(gallery, photo)
    driver = read_driver(driver_path) if driver_path and moves else None
    face_recognizer = Identity(config["face_recognizer"]) if config["face_recognizer"] else None
    reenactor = open_reenactor(config)
    head = load_person(reenactor, photo, config["source_face"])
    faces = load_gallery(reenactor, gallery, photo) if gallery else synthetic_gallery(reenactor)
    neighbours = nearest(head, faces, settings.neighbours)
    print_details("\n".join(f"{face.share:4.0%} {face.name} (e_hat {face.similarity:.3f})" for face in neighbours))
    strengths = _PREVIEW_STRENGTHS if arguments.preview else (settings.strength,)
    if arguments.preview:
        settings = replace(settings, resolution=reenactor.size)
    stills: list[np.ndarray] = []
    for strength in strengths:
        stills += portrait(reenactor, head, neighbours, None, replace(settings, strength=strength))
        cosines = identity_similarity(reenactor, head, stills[-1], face_recognizer)
        listed = ", ".join(f"{name} {value:.3f}" for name, value in cosines.items())
        print_details(f"strength {strength:g}: similarity to the sitter {listed}")
    mark = reenactor.provenance(composite=False).made_from(inputs)
    if driver is None:
        write_image(output, np.concatenate(stills, axis=1), mark, arguments.overwrite)
        return output
    motion = track_driver(reenactor, driver, config)
    frames = portrait(reenactor, head, neighbours, motion, settings)
    return write_frames(frames, output, driver, mark, config["crf"], arguments.overwrite, "portrait", len(motion))


def _inputs(paths: list[Path]) -> tuple[Path, Path | None]:
    """Returns the person's picture and the driver, if any."""
    from fewshot_heads.cli.inputs import is_driver

    if not 1 <= len(paths) <= 2:
        raise UsageError("give a picture of the sitter and, if it is to move, a driver; --help shows how")
    photo, *drivers = paths
    if is_driver(photo):
        raise UsageError(f"{photo}: a video is the driver and comes last; the sitter is a picture or a saved head")
    if drivers and not is_driver(drivers[0]):
        raise UsageError(
            f"{drivers[0]}: the driver is a video, gif, folder or saved motion; others' pictures go into gallery=FOLDER"
        )
    return photo, drivers[0] if drivers else None


if __name__ == "__main__":
    sys.exit(main())
