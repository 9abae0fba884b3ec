"""Checks of input files, output files that appear complete or not at all, and one-line errors of the system."""

from __future__ import annotations

import errno
import glob
import os
import secrets
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fewshot_heads.errors import BadInput, OutputError

try:
    import fcntl
except ImportError:  # Windows has no such locks, so no part file is swept there
    fcntl = None  # type: ignore[assignment]

SAVED = ".safetensors"  # suffix of saved heads and motions; the file says which
_TOKEN_BYTES = 8
_PART_STEM_LENGTH = 40  # characters of the target's name in a part file's name, at most 160 of the 255 bytes allowed


@contextmanager
def atomic_write(path: Path, suffixes: Collection[str], overwrite: bool) -> Iterator[Path]:
    """Gives the path of a new part file, which becomes `path` when the block ends.

    The part file lies beside `path` and has the same suffix, for libraries that open a file by name. Its name cannot be
    guessed. After any error the part file is removed and `path` stays as before. A part file that a killed process left
    is removed when the same target is written again.

    Args:
        path: the target.
        suffixes: suffixes that the target may have, in lower case with the dot.
        overwrite: whether an existing target may be replaced.

    Yields:
        The path of the part file.

    Raises:
        OutputError: if the target cannot be written, see `check_target`, also if it appeared inside the block. Other
            errors of the block pass unchanged.
    """
    check_target(path, suffixes, overwrite)
    with _part_file(path, path.parent, overwrite) as part:
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
        with _part_file(path, scratch, overwrite=True) as part, part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error


@contextmanager
def _part_file(path: Path, folder: Path, overwrite: bool) -> Iterator[Path]:
    """Creates a part file in a folder, which becomes `path` when the block ends, or vanishes on any error."""
    prefix, suffix = f".{path.stem[:_PART_STEM_LENGTH]}.", f".part{path.suffix}"
    try:
        _sweep(folder, prefix, suffix)
        part, lock = _create_part(folder, prefix, suffix)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield part
        try:
            _move(part, path, overwrite)
        except OSError as error:
            raise write_error(path, error) from error
    finally:
        part.unlink(missing_ok=True)
        lock.close()


def _create_part(folder: Path, prefix: str, suffix: str) -> tuple[Path, BinaryIO]:
    """Returns a new, empty file and the lock that tells `_sweep` that the file is in use."""
    while True:
        part = folder / f"{prefix}{secrets.token_hex(_TOKEN_BYTES)}{suffix}"
        lock = part.open("xb")  # exclusive: opens nothing that is there already, and follows no link
        if fcntl is None:
            lock.close()  # Windows moves no file that is open
            return part, lock
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock.fileno()).st_nlink:
            return part, lock
        lock.close()  # swept between creation and lock


def _sweep(folder: Path, prefix: str, suffix: str) -> None:
    """Removes part files of a target that no living process has locked."""
    token = "[0-9a-f]" * (2 * _TOKEN_BYTES)
    for part in folder.glob(glob.escape(prefix) + token + glob.escape(suffix)) if fcntl else ():
        with suppress(OSError), open(os.open(part, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def _move(part: Path, path: Path, overwrite: bool) -> None:
    """Gives a finished part file its final name, which replaces another file only where allowed."""
    if overwrite:
        os.replace(part, path)
        return
    try:
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links, such as FAT: takes the name first, then fills it
            path.open("xb").close()
            os.replace(part, path)
    except FileExistsError as error:
        raise _exists_error(path) from error


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
    try:
        exists = bool(path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        exists = False
    except OSError as error:  # such as a name that is too long
        raise write_error(path, error) from error
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; name a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} may not be written; choose another one")
    if exists and not overwrite:
        raise _exists_error(path)


def check_readable(path: Path) -> None:
    """Checks that an input is a file that can be read, before any library opens the input.

    A pipe or a device could wait for ever or never end.

    Args:
        path: the input.

    Raises:
        BadInput: if the path is missing, a folder, a pipe, a device, empty or may not be read.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened ({error.strerror}); check the path and its permissions") from error
    if stat.S_ISDIR(status.st_mode):
        raise BadInput(f"{path}: this is a folder; name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(f"{path}: a pipe or a device; save what comes from it to a file and name that file")
    _check_permission(path, os.R_OK)
    if status.st_size == 0:
        raise BadInput(f"{path}: the file is empty (0 bytes); get a whole copy")


def check_readable_folder(path: Path) -> None:
    """Checks that the system lets a folder and every file in it be read.

    Args:
        path: a folder.

    Raises:
        BadInput: if the folder or a file in it may not be read.
    """
    _check_permission(path, os.R_OK | os.X_OK)
    for file in path.iterdir():
        if file.is_file():
            _check_permission(file, os.R_OK)


def _check_permission(path: Path, mode: int) -> None:
    if not os.access(path, mode):
        raise BadInput(f"{path}: may not be read; change its permissions")


def check_no_input(target: Path, inputs: Iterable[Path]) -> None:
    """Checks that a target is none of the inputs under any name, nor a file in a folder of inputs.

    Args:
        target: the target.
        inputs: files and folders. A path that does not exist is passed over.

    Raises:
        OutputError: if the target is also an input.
    """
    if not target.exists():
        return
    for path in inputs:
        for file in (path, *path.glob("*")):
            if file.exists() and file.samefile(target):
                raise OutputError(f"{target}: is also an input; choose another output")


def _exists_error(path: Path) -> OutputError:
    return OutputError(f"{path}: exists already; allow overwriting (--overwrite) or choose another name")


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
