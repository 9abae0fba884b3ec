"""Command line: one or few pictures of a person and a driving video in, a video out.

python -m fewshot_heads.animate mona_lisa.jpg driver.mp4
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fewshot_heads.checkpoint import load_checkpoint
from fewshot_heads.config import compose, describe
from fewshot_heads.errors import FewshotHeadsError, OutputError, UsageError
from fewshot_heads.head import Head
from fewshot_heads.images import check_target
from fewshot_heads.landmarks import detector
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.video import WRITTEN, VideoWriter
from fewshot_heads.video_reader import read_video

_OVERRIDE = re.compile(r"[+~]?[a-z_][\w.]*=")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 1 for bad input, 2 for usage, 130 when interrupted."""
    parser = _parser()
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: _animate(arguments), arguments.debug)


def run(command: Callable[[], Path], debug: bool) -> int:
    """Runs a command, prints the path it returns, and turns its errors into one line and an exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    warnings.showwarning = lambda message, *_: logging.getLogger(__name__).warning("%s", message)
    try:
        print(command())
        return 0
    except FewshotHeadsError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        reason = (str(error).splitlines() or [""])[0]
        print(f"error: {type(error).__name__}: {reason}; --debug shows where", file=sys.stderr)
        return 1


def key_help(name: str) -> str:
    """The keys of conf/<name>.yaml with their defaults and comments, for --help."""
    keys = "\n".join(f"  {key + '=' + default:<26} {text}" for key, default, text in describe(name))
    return f"keys and their defaults:\n{keys}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fewshot_heads.animate",
        usage="%(prog)s SOURCE [SOURCE ...] DRIVER [-o OUTPUT] [--overwrite] [key=value ...]",
        description="Animates the person in one or few pictures with the motion of a driving video.",
        epilog=key_help("animate"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="SOURCE ... DRIVER",
        help="pictures of one person, or one saved head (.safetensors); last the driver: a video, gif or folder",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, help=".mp4, .webm or .gif; default <source>_<driver>.mp4 here")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def split_overrides(tokens: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Paths and key=value overrides; a token that exists as a file is a path whatever it looks like."""
    paths, overrides = [], []
    for token in tokens:
        is_override = _OVERRIDE.match(token) and not Path(token).exists()
        overrides.append(token) if is_override else paths.append(Path(token))
    return paths, overrides


def _animate(arguments: argparse.Namespace) -> Path:
    paths, overrides = split_overrides(arguments.inputs)
    if len(paths) < 2:
        raise UsageError("give at least one source picture and a driver; --help shows how")
    config = compose("animate", overrides)
    *sources, driver_path = paths
    output = arguments.output or Path(f"{sources[0].stem}_{driver_path.stem}.mp4")

    check_target(output, WRITTEN, arguments.overwrite)
    if output.resolve() in (path.resolve() for path in paths):
        raise OutputError(f"{output}: is also an input; choose another output")
    if config.threads:
        torch.set_num_threads(config.threads)
    driver = read_video(driver_path)
    options = dict(config.landmarks)
    backend = options.pop("backend")
    detectors = [detector(backend, **options) for _ in range(2 if backend == "mediapipe" else 1)]
    reenactor = Reenactor(load_checkpoint(config.model), config.device, detectors)
    if sources[0].suffix == ".safetensors":
        if len(sources) > 1:
            raise UsageError(f"{sources[0]}: a saved head is the only source; leave the others out")
        head = Head.load(sources[0])
    else:
        head = reenactor.embed(sources, config.face)
    frames = tqdm(driver, "landmarks", driver.frame_count_estimate, disable=None, unit="frame", leave=False)
    motion = reenactor.track(frames, config.driver_face, config.smooth, rate=driver.rate, name=str(driver_path))
    reference = None if config.reference == "auto" else int(config.reference)
    results: Iterator[np.ndarray] = reenactor.animate(
        head, motion, config.motion, config.pose, config.expression, reference, config.paste_back, batch=config.batch
    )
    if config.side_by_side:
        results = _side_by_side(head.picture, driver, results)
    mark = reenactor.provenance(composite=config.paste_back)
    with VideoWriter(output, driver, config.crf, mark=mark, overwrite=arguments.overwrite) as out:
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
