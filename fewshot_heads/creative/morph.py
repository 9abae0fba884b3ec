"""Command line: morphs people into one another while a driver or idle motion moves them.

python -m fewshot_heads.creative.morph mona_lisa.jpg anna.jpg driver.mp4

A person is a point: face shape and pose, e_hat and style, pixels and, after fine-tuning, a generator. A point between
people is the weighted mean of each. The generator renders every person with the mean face and the mean style, so that
eyes lie on eyes and mouths on mouths. The renderings are cross-faded. At a person the frame is the plain reenactment.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import make_parser, parse_and_run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = make_parser(
        "morph",
        "PERSON PERSON [PERSON ...] [DRIVER] [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
        "One person becomes the next, moved by a driving video or, without one, by idle motion with blinks.",
        ".mp4, .webm or .gif; default <first>_to_<last>.mp4 here",
        preview="only a picture of 16 frames; default a .jpg",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="PERSON ... DRIVER",
        help="a picture of each person, or their saved head (.safetensors); last, if any, a driver: a video, "
        "gif, folder or saved motion",
    )  # fmt: skip
    return parse_and_run(parser, _morph, argv)


def _morph(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import choose_output, is_driver, read_driver, settings_of

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("morph", overrides)
    inputs = [Path(name) for name in names]
    people, driver_path = (inputs[:-1], inputs[-1]) if inputs and is_driver(inputs[-1]) else (inputs, None)
    if len(people) < 2:
        raise UsageError("give at least two people, each a picture or a saved head; --help shows how")
    for path in filter(is_driver, people):
        raise UsageError(f"{path}: a video is the driver and comes last; people are pictures or saved heads")

    from fewshot_heads.cli.session import open_reenactor, track_driver, write_frames
    from fewshot_heads.creative.blending.identity_blend import load_person
    from fewshot_heads.creative.blending.morphing import Morph, morph, preview
    from fewshot_heads.media.images import WRITTEN as PICTURES
    from fewshot_heads.media.images import write_image
    from fewshot_heads.media.video_writer import WRITTEN

    settings = settings_of(Morph, config)
    suffixes, suffix = (PICTURES, ".jpg") if arguments.preview else (WRITTEN, ".mp4")
    output = choose_output(arguments, f"{people[0].stem}_to_{people[-1].stem}{suffix}", suffixes, inputs)
    driver = read_driver(driver_path) if driver_path else None
    idle_count = 0 if driver else settings.frames(len(people))
    reenactor = open_reenactor(config)
    heads = [load_person(reenactor, path, config["source_face"]) for path in people]
    motion = track_driver(reenactor, driver, config) if driver else None
    mark = reenactor.provenance(composite=False).made_from(inputs)
    if arguments.preview:
        write_image(output, preview(reenactor, heads, motion, settings), mark, arguments.overwrite)
        return output
    count = idle_count if motion is None else len(motion)
    frames = morph(reenactor, heads, motion, settings)
    like = driver or settings.rate
    return write_frames(frames, output, like, mark, config["crf"], arguments.overwrite, "morph", count)


if __name__ == "__main__":
    sys.exit(main())
