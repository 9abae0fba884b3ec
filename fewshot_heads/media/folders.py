"""Folders of output that appear complete or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fewshot_heads.errors import OutputError
from fewshot_heads.media.files import write_error

_TOKEN_BYTES = 8
OwnFiles = Callable[[Path], Collection[str]]


def check_folder(path: Path, own_files: OwnFiles, overwrite: bool) -> None:
    """Checks that a folder can be written, before any work is done for it.

    Args:
        path: the folder.
        own_files: returns the files that a folder of this kind wrote, relative to the folder and with slashes. A folder
            with any other file is not replaced.
        overwrite: whether a folder of this kind may be replaced.

    Raises:
        OutputError: the folder exists, is a file or holds other files, or the system refuses.
    """
    try:
        content = os.listdir(path)
    except FileNotFoundError:
        content = None
    except NotADirectoryError as error:
        raise OutputError(f"{path}: this is a file; name a folder") from error
    except OSError as error:
        raise write_error(path, error) from error
    if not path.name or path.is_symlink():
        raise OutputError(f"{path}: not a name of a new folder; choose another one")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} may not be written; choose another one")
    if other := _other_file(path, own_files(path)) if content else None:
        raise OutputError(f"{path}: holds other files, such as {other}; choose a new folder")
    if content and not overwrite:
        raise OutputError(f"{path}: exists already; allow overwriting (--overwrite) or choose another name")


def _other_file(folder: Path, own: Collection[str]) -> str | None:
    """Returns a file in a folder or below it that is none of its own, or None."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in (*files, *links):
            if (file := Path(place, name).relative_to(folder).as_posix()) not in own:
                return file
    return None


@contextmanager
def atomic_folder(path: Path, own_files: OwnFiles, overwrite: bool) -> Iterator[Path]:
    """Gives the path of a new folder beside `path`, which becomes `path` when the block ends.

    After any error the new folder is removed and `path` stays as before.

    Args:
        path: as in `check_folder`, like the others.
        own_files: returns the files that a folder of this kind wrote.
        overwrite: whether a folder of this kind may be replaced.

    Yields:
        The path of the new folder.

    Raises:
        OutputError: as `check_folder`, also if `path` appeared inside the block, and if the disk is full.
    """
    check_folder(path, own_files, overwrite)
    part, old = (path.parent / f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.{end}" for end in ("part", "old"))
    try:
        try:
            part.mkdir()
            yield part
            check_folder(path, own_files, overwrite)
            if path.exists():
                path.rename(old)
            part.rename(path)
        except OSError as error:
            raise write_error(path, error) from error
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
