"""Command line: animates the person in one or few pictures with a driving video.

python -m fewshot_heads.animate mona_lisa.jpg driver.mp4
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.parser import make_parser, parse_and_run, split_overrides
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import UsageError

if TYPE_CHECKING:
    import numpy as np


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code: 0, 1 (bad input), 2 (usage), 128 + n (signal n)."""
    parser = make_parser(
        "animate",
        "SOURCE [SOURCE ...] DRIVER [-o OUTPUT] [--overwrite] [key=value ...]",
        "Animates the person in one or few pictures with the motion of a driving video.",
        ".mp4, .webm or .gif; default <source>_<driver>.mp4 here",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="SOURCE ... DRIVER",
        help="pictures of one person, or one saved head (.safetensors); last the driver: a video, gif or folder",
    )  # fmt: skip
    return parse_and_run(parser, _animate, argv)


def _animate(arguments: argparse.Namespace) -> Path:
    from fewshot_heads.cli.session import choose_output, load_head, open_reenactor, track_driver, write_frames
    from fewshot_heads.media.video_reader import read_video
    from fewshot_heads.media.video_writer import WRITTEN

    names, overrides = split_overrides(arguments.inputs)
    config = load_config("animate", overrides)
    paths = [Path(name) for name in names]
    if len(paths) < 2:
        raise UsageError("give at least one source picture and a driver; --help shows how")
    *sources, driver_path = paths
    output = choose_output(arguments, f"{sources[0].stem}_{driver_path.stem}.mp4", WRITTEN, paths)
    driver = read_video(driver_path)
    reenactor = open_reenactor(config)
    if sources[0].suffix.lower() == ".safetensors":
        if len(sources) > 1:
            raise UsageError(f"{sources[0]}: a saved head is the only source; leave the others out")
        head = load_head(reenactor, sources[0])
    else:
        head = reenactor.embed(sources, config["source_face"])
    motion = track_driver(reenactor, driver, config)
    options = {key: config[key] for key in ("motion", "pose", "expression", "paste_back", "batch", "mouth")}
    reference = None if config["reference"] == "auto" else int(config["reference"])
    resolution = None if config["resolution"] == "auto" else int(config["resolution"])
    frames = reenactor.animate(head, motion, reference=reference, resolution=resolution, **options)
    if config["side_by_side"]:
        frames = _side_by_side(head.as_given(head.picture), driver, frames)
    mark = reenactor.provenance(composite=config["paste_back"])
    return write_frames(frames, output, driver, mark, config["crf"], arguments.overwrite, "animate", len(motion))


def _side_by_side(
    source: np.ndarray, driver: Iterable[np.ndarray], frames: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yields source, driver and result next to each other, at the result's height."""
    from fewshot_heads.imaging.grid import image_grid

    for driver_frame, frame in zip(driver, frames, strict=False):
        height = frame.shape[0]
        yield image_grid([[_at_height(source, height), _at_height(driver_frame, height), frame]])


def _at_height(image: np.ndarray, height: int) -> np.ndarray:
    import cv2

    width = round(image.shape[1] * height / image.shape[0])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    sys.exit(main())
