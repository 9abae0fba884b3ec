"""Files written whole or not at all, and one-line errors when the system refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fewshot_heads.errors import OutputError


@contextmanager
def atomic_write(path: Path, suffixes: Collection[str], overwrite: bool) -> Iterator[Path]:
    """A new file beside `path` to write into; it takes `path`'s place at the end, and vanishes on any error."""
    check_target(path, suffixes, overwrite)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        part.touch()
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield part
        try:
            os.replace(part, path)
        except OSError as error:
            raise write_error(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def check_target(path: Path, suffixes: Collection[str], overwrite: bool) -> None:
    """Raise OutputError for a target that cannot be written, before any work is done for it."""
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path}: unknown kind of file {path.suffix!r}; name it {', '.join(suffixes)}")
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; name a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} may not be written; choose another one")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; allow overwriting (--overwrite) or choose another name")


def write_error(path: Path, error: Exception) -> OutputError:
    """The one-line error for a file the system would not let us write."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{path}: the disk is full; free some space or choose another folder")
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"{path}: cannot be written ({reason}); choose another folder or name")


@contextmanager
def atomic_write_in(path: Path, scratch: Path) -> Iterator[BinaryIO]:
    """A new file for `path`, written in the folder `scratch`; it takes its place when it is whole, or is removed.

    Raises OutputError for whatever the system refuses.
    """
    part = scratch / f"{path.name}.part"
    try:
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
