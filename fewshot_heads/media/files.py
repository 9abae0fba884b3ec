"""Files that appear complete or not at all, and one-line errors when the system refuses."""

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
    """Gives the path of a new part file, which becomes `path` when the block ends.

    The part file lies beside `path` and has the same suffix, for libraries that open a file by name. After any error
    the part file is removed and `path` stays as before.

    Args:
        path: the target.
        suffixes: suffixes that the target may have, in lower case with the dot.
        overwrite: whether an existing target may be replaced.

    Yields:
        The path of the part file.

    Raises:
        OutputError: if the target cannot be written, see `check_target`. Errors of the block pass unchanged.
    """
    check_target(path, suffixes, overwrite)
    with _part_file(path, path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")) as part:
        yield part


@contextmanager
def atomic_write_in(path: Path, scratch: Path) -> Iterator[BinaryIO]:
    """Gives a new file open for writing, which becomes `path` when the block ends.

    The part file lies in another folder and is flushed to the disk before the move. An existing target is replaced.
    After any error the part file is removed and `path` stays as before.

    Args:
        path: the target.
        scratch: folder of the part file, on the same disk as the target.

    Yields:
        The part file, binary.

    Raises:
        OutputError: if the system refuses, also inside the block.
    """
    try:
        with _part_file(path, scratch / f"{path.name}.part") as part, part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error


@contextmanager
def _part_file(path: Path, part: Path) -> Iterator[Path]:
    """Creates `part`, which becomes `path` when the block ends, or vanishes on any error."""
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
    """Checks that a target can be written, before any work is done for the target.

    Args:
        path: the target.
        suffixes: suffixes that the target may have, in lower case with the dot.
        overwrite: whether the target may exist.

    Raises:
        OutputError: if the suffix is another, the target is a folder or exists, or the folder refuses.
    """
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
    """Returns the one-line error for a file that the system does not let us write.

    Args:
        path: the target.
        error: what the system or a library raised.
    """
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{path}: the disk is full; free some space or choose another folder")
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"{path}: cannot be written ({reason}); choose another folder or name")
