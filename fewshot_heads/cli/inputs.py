"""Checks of inputs and output that a command makes before it imports torch: a wrong one is told at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fewshot_heads.errors import UsageError
from fewshot_heads.media.files import SAVED, check_no_input, check_target

if TYPE_CHECKING:
    from fractions import Fraction

    from fewshot_heads.driving.motion import Motion
    from fewshot_heads.media.video_reader import Video

Settings = TypeVar("Settings")


def is_driver(path: Path) -> bool:
    """Returns whether a path is a driver: a video, a folder of frames or a saved motion."""
    from fewshot_heads.media.video_reader import VIDEOS

    suffix = path.suffix.lower()
    return os.path.isdir(path) or suffix in VIDEOS or (suffix == SAVED and _is_motion(path))


def _is_motion(path: Path) -> bool:
    from fewshot_heads.driving.motion import is_motion  # cv2, for a saved file only

    return is_motion(path)


def read_driver(path: Path, shown: bool = False) -> Video | Motion:
    """Returns a driver: the video, or the saved motion if the path ends in .safetensors.

    Args:
        path: a video, a folder of frames or a saved motion.
        shown: whether the driver's frames are shown in the result.

    Raises:
        UsageError: a saved motion has no frames to show.
        BadInput: the driver cannot be read.
    """
    from fewshot_heads.media.video_reader import read_video

    if path.suffix.lower() != SAVED or os.path.isdir(path):
        return read_video(path)
    if shown:
        raise UsageError(f"{path}: a saved motion has no pictures to show; use side_by_side=false, or the video itself")
    from fewshot_heads.driving.motion import Motion

    return Motion.load(path)


def read_video_source(path: Path, rate: Fraction) -> Video:
    """Returns the video whose person is animated.

    Args:
        path: a video, gif or folder.
        rate: frames per second, those of the driver.

    Raises:
        BadInput: the video cannot be read, or a frame is too large for a head.
    """
    from fewshot_heads.media.images import MAX_SIDE_PX, check_size
    from fewshot_heads.media.video_reader import read_video

    video = read_video(path, rate)
    check_size(str(path), video.width, video.height, MAX_SIDE_PX**2)  # each frame becomes the picture of a `Head`
    return video


def choose_output(
    arguments: argparse.Namespace, default: str, suffixes: Collection[str], inputs: Iterable[Path]
) -> Path:
    """Returns the path to write to, checked before any work is done for it.

    Args:
        arguments: with `output`, a path or None, and `overwrite`.
        default: name in the current folder, for an `output` of None.
        suffixes: kinds of file that the command can write.
        inputs: files and folders that the output must not replace.

    Raises:
        OutputError: the output cannot be written or is also an input.
        BadInput: the certificate that signs the output cannot be used.
    """
    output = arguments.output or Path(default)
    check_output(output, suffixes, arguments.overwrite, inputs)
    return output


def check_output(output: Path, suffixes: Collection[str], overwrite: bool, inputs: Iterable[Path]) -> None:
    """Checks a path to write to, and what signs the file. Arguments and errors are those of `choose_output`."""
    from fewshot_heads.media.content_credentials import identity_for_writing

    check_target(output, suffixes, overwrite)
    check_no_input(output, inputs)
    if output.suffix.lower() != SAVED:
        identity_for_writing()


def weights_of(config: Mapping[str, Any]) -> list[Path]:
    """Returns where the weights of a configuration are, for `choose_output`. A preset gives a path without a file."""
    return [Path(name) for name in (config["model"], *config["inpainters"])]


def settings_of(kind: type[Settings], config: Mapping[str, Any]) -> Settings:
    """Returns a dataclass of settings, filled from the keys of the same names."""
    return kind(**{field.name: config[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def check_video_source(sources: Sequence[Path], config: Mapping[str, Any]) -> None:
    """Raises UsageError for what a video as source does not have.

    Args:
        sources: the video alone.
        config: the keys of conf/animate.yaml.
    """
    if len(sources) != 1:
        raise UsageError(f"--video takes one video and a driver, {len(sources)} sources came; leave the others out")
    for key, value, reason in (
        ("motion", "relative", "takes the expression only"),
        ("pose", 1.0, "keeps the pose of its head"),
        ("paste_back", True, "keeps its whole picture"),
    ):
        if config[key] != value:
            raise UsageError(f"{key}={str(config[key]).lower()}: a video as source {reason}; leave {key} out")
