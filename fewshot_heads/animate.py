"""Command line: one or few pictures of a person and a driving video in, a video out.

python -m fewshot_heads.animate mona_lisa.jpg driver.mp4
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.parser import make_parser, run, split_overrides
from fewshot_heads.cli.session import check_output, open_reenactor, track_driver
from fewshot_heads.errors import UsageError
from fewshot_heads.head import Head
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.video_writer import WRITTEN, VideoWriter


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 1 for bad input, 2 for usage, 130 when interrupted."""
    parser = _parser()
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _animate(arguments), arguments.debug)


def _parser() -> argparse.ArgumentParser:
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
    return parser


def _animate(arguments: argparse.Namespace) -> Path:
    names, overrides = split_overrides(arguments.inputs)
    paths = [Path(name) for name in names]
    if len(paths) < 2:
        raise UsageError("give at least one source picture and a driver; --help shows how")
    config = load_config("animate", overrides)
    *sources, driver_path = paths
    output = arguments.output or Path(f"{sources[0].stem}_{driver_path.stem}.mp4")

    check_output(output, WRITTEN, arguments.overwrite, paths)
    driver = read_video(driver_path)
    reenactor = open_reenactor(config)
    if sources[0].suffix == ".safetensors":
        if len(sources) > 1:
            raise UsageError(f"{sources[0]}: a saved head is the only source; leave the others out")
        head = Head.load(sources[0])
    else:
        head = reenactor.embed(sources, config["source_face"])
    motion = track_driver(reenactor, driver, config)
    options = {key: config[key] for key in ("motion", "pose", "expression", "paste_back", "batch", "mouth")}
    reference = None if config["reference"] == "auto" else int(config["reference"])
    results = reenactor.animate(head, motion, reference=reference, **options)
    if config["side_by_side"]:
        results = _side_by_side(head.picture, driver, results)
    mark = reenactor.provenance(composite=config["paste_back"])
    with VideoWriter(output, driver, config["crf"], mark=mark, overwrite=arguments.overwrite) as out:
        for frame in tqdm(results, "animate", len(motion), disable=None, unit="frame"):
            out.add(frame)
    return output


def _side_by_side(
    source: np.ndarray, driver: Iterable[np.ndarray], results: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    """source | driver | result, all at the result's height."""
    for shown, result in zip(driver, results, strict=False):
        height = result.shape[0]
        yield np.concatenate([_at_height(source, height), _at_height(shown, height), result], axis=1)


def _at_height(image: np.ndarray, height: int) -> np.ndarray:
    width = round(image.shape[1] * height / image.shape[0])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    sys.exit(main())
