"""Checks of inputs and output that a command makes before it imports torch: a wrong one is told at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from fewshot_heads.media.files import check_no_input, check_target

Settings = TypeVar("Settings")


def is_driver(path: Path) -> bool:
    """Returns whether a path is a driver: a video or a folder of frames."""
    from fewshot_heads.media.video_reader import VIDEOS

    return os.path.isdir(path) or path.suffix.lower() in VIDEOS


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
    """
    output = arguments.output or Path(default)
    check_target(output, suffixes, arguments.overwrite)
    check_no_input(output, inputs)
    return output


def settings_of(kind: type[Settings], config: Mapping[str, Any]) -> Settings:
    """Returns a dataclass of settings, filled from the keys of the same names."""
    return kind(**{field.name: config[field.name] for field in fields(kind)})  # type: ignore[arg-type]
