"""Command line: samples synthetic identities, in one picture or in a video with one driver for all.

python -m fewshot_heads.creative.sample driver.mp4 count=12 seed=3

Each identity is a draw of the appearance model. It lies far enough from every training person, and the landmark
detector finds its face where the model places it. Person i of a seed is the same for every count.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fewshot_heads.cli.parser import make_parser, parse_and_run, print_details, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import OutputError, UsageError

HEAD = ".safetensors"
_PREVIEW_SIDE = 128  # pixels of each person


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = make_parser(
        "sample",
        "[DRIVER] [-o OUTPUT] [--overwrite] [--preview] [key=value ...]",
        "Synthetic identities: a picture of them or, with a driving video, all of them moving alike.",
        "a picture or, with a driver, .mp4, .webm or .gif; of count=1 also a head, .safetensors; default "
        "people_<seed>.jpg or .mp4 here",
        preview="only a small picture of them, without the driver",
    )
    parser.add_argument("inputs", nargs="*", metavar="DRIVER", help="a video, gif, folder of frames or saved motion")
    return parse_and_run(parser, _sample, argv)


def _sample(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.config import load_config
    from fewshot_heads.cli.inputs import choose_output, is_driver, read_driver, settings_of, weights_of

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("sample", overrides)
    paths = [Path(name) for name in names]
    if len(paths) > 1 or not all(map(is_driver, paths)):
        raise UsageError(f"{names[-1]}: one driver at most, a video, gif, folder or saved motion; --help shows how")

    from tqdm import tqdm

    from fewshot_heads.cli.session import open_reenactor, track_driver, write_frames
    from fewshot_heads.creative.blending.sampling import Sample, grid, moved, sample
    from fewshot_heads.imaging.resizing import resized
    from fewshot_heads.media.images import WRITTEN as PICTURES
    from fewshot_heads.media.images import write_image
    from fewshot_heads.media.video_writer import WRITTEN

    driver_path = paths[0] if paths and not arguments.preview else None
    settings = settings_of(Sample, config)
    suffixes, suffix = (WRITTEN, ".mp4") if driver_path else ((*PICTURES, HEAD), ".jpg")
    output = choose_output(arguments, f"people_{settings.seed}{suffix}", suffixes, [*paths, *weights_of(config)])
    if output.suffix.lower() == HEAD and settings.count != 1:
        raise OutputError(f"{output}: holds one head; use count=1")
    driver = read_driver(driver_path) if driver_path else None
    reenactor = open_reenactor(config)
    draws = sample(reenactor, settings)
    people = list(tqdm(draws, "people", settings.count, disable=None, unit="person", leave=False))
    distances = ", ".join(f"{person.distance:.2f}" for person in people)
    print_details(f"distance to the nearest training person: {distances}")
    print_details(f"draws in which no face was found: {sum(person.refused for person in people)}")
    heads = [person.head for person in people]
    if output.suffix.lower() == HEAD:
        heads[0].save(output, arguments.overwrite)
        return output
    mark = reenactor.provenance(composite=False).made_from([driver_path] if driver_path else [])
    if driver is None:
        side = _PREVIEW_SIDE if arguments.preview else settings.side or heads[0].picture.shape[0]
        pictures = [resized(head.picture, side) for head in heads]
        write_image(output, grid(pictures), mark, arguments.overwrite)
        return output
    motion = track_driver(reenactor, driver, config)
    frames = moved(reenactor, heads, motion, settings)
    return write_frames(frames, output, driver, mark, config["crf"], arguments.overwrite, "sample", len(motion))


if __name__ == "__main__":
    sys.exit(main())
