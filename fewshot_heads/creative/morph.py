"""Metamorphosis: one person becomes another, and another, while a driver, or a gentle motion of its own, moves them.

python -m fewshot_heads.creative.morph mona_lisa.jpg anna.jpg driver.mp4

A person is a point: face shape and pose, e_hat and style, pictures and, fine-tuned, a generator. What lies between is
a weighted mean of each. The generator paints everybody present as that one face in that one style, eyes on eyes and
mouth on mouth, and the paintings dissolve into each other. At a person the frame is their plain reenactment.
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
from fewshot_heads.creative.blending.identity_blend import load_person
from fewshot_heads.creative.blending.morphing import PREVIEW_FRAMES, Morph, morph, preview
from fewshot_heads.errors import UsageError
from fewshot_heads.media.images import WRITTEN as PICTURES
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter


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
    parser.add_argument(
        "--preview", action="store_true", help=f"only a picture of {PREVIEW_FRAMES} frames; default a .jpg"
    )
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
    config = load_config("morph", overrides)
    settings = Morph(**{field.name: config[field.name] for field in fields(Morph)})
    kinds, suffix = (PICTURES, ".jpg") if arguments.preview else (WRITTEN, ".mp4")
    output = arguments.output or Path(f"{people[0].stem}_to_{people[-1].stem}{suffix}")
    check_output(output, kinds, arguments.overwrite, inputs)
    driver = read_video(driver_path) if driver_path else None
    reenactor = open_reenactor(config)
    heads = [load_person(reenactor, path, config["source_face"]) for path in people]
    motion = track_driver(reenactor, driver, config) if driver else None
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


if __name__ == "__main__":
    sys.exit(main())
