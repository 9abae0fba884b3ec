"""Reads the files in which the library saves its own values: heads and motions, as `.safetensors`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from fewshot_heads.errors import BadInput
from fewshot_heads.media.files import check_readable

_MALFORMED = (
    OSError, SafetensorError, LookupError, ValueError, TypeError, ArithmeticError, RecursionError,
)  # fmt: skip


class SavedKind(NamedTuple):
    """A kind of file.

    Attributes:
        noun: what it holds, for messages.
        format: name and version, which the file's metadata hold as "format".
        max_bytes: size of the largest file that is read.
        again: what to do about a file that does not fit, for messages.
        source: what makes such a file, for messages.
    """

    noun: str
    format: str
    max_bytes: int
    again: str
    source: str

    def is_named_by(self, about: dict[str, str]) -> bool:
        """Returns whether a file's metadata name this kind, in any version."""
        return about.get("format", "").startswith(self.format.rstrip("0123456789"))


@contextmanager
def open_saved(path: Path, kind: SavedKind, framework: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Gives the arrays of a file, as `safetensors.safe_open` does, and its metadata.

    Args:
        path: the file.
        kind: what it must hold.
        framework: type of the arrays, "pt" or "numpy".

    Raises:
        BadInput: no such file, a file of another kind or version, or what is done with it finds a value that does not
            fit.
    """
    check_readable(path)
    if path.stat().st_size > kind.max_bytes:
        raise BadInput(f"{path}: too large for a {kind.noun}; {kind.again}")
    about: dict[str, str] = {}
    try:
        with safe_open(path, framework) as file:
            about = file.metadata() or {}
            if about.get("format") != kind.format:
                raise LookupError("format")
            yield file, about
    except BadInput as error:
        raise BadInput(f"{path}: {error}; {kind.again}") from error
    except _MALFORMED as error:
        if kind.is_named_by(about) and about["format"] != kind.format:
            raise BadInput(f"{path}: a {kind.noun} of another version of fewshot_heads; {kind.again}") from error
        raise BadInput(f"{path}: not a {kind.noun} saved by fewshot_heads; {kind.source}") from error


def holds(path: Path, kind: SavedKind) -> bool:
    """Returns whether a file says that it is of a kind, in any version.

    Args:
        path: any path.
        kind: the kind.
    """
    if not path.is_file():
        return False
    try:
        with safe_open(path, "numpy") as file:
            return kind.is_named_by(file.metadata() or {})
    except (OSError, SafetensorError, ValueError):
        return False
