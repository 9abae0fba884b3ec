"""Sequences as long as a video, of which no item stays in memory.

Items are computed on access, or read from a temporary file. So 30 minutes of video take the memory of 10 seconds.
"""

from __future__ import annotations

import os
import pickle
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import Any, TypeVar, overload

from fewshot_heads.media.files import write_error

T = TypeVar("T")
_MAX_BYTES_IN_MEMORY = 2**22  # of a `Spool`; a shorter video needs no disk


class LazySequence(Sequence[T]):
    """A sequence whose items are computed anew on each access. A slice is a list, as of a list.

    Pickling computes all items. The copy reads them from a temporary file.

    Args:
        item: returns an item.
        indices: what `item` is called with, for each position.
    """

    def __init__(self, item: Callable[[int], T], indices: Sequence[int]) -> None:
        self._item, self._indices = item, indices

    def __len__(self) -> int:
        """Returns the number of items."""
        return len(self._indices)

    @overload
    def __getitem__(self, position: int) -> T: ...
    @overload
    def __getitem__(self, position: slice) -> list[T]: ...
    def __getitem__(self, position: int | slice) -> T | list[T]:
        """Returns one item, or a list of them for a slice."""
        if isinstance(position, slice):
            return [self._item(index) for index in self._indices[position]]
        return self._item(self._indices[position])

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns what pickle needs to rebuild the sequence."""
        return spooled, (list(self),)


def spooled(items: Iterable[T]) -> LazySequence[T]:
    """Returns the items as a sequence that reads them from a temporary file.

    Args:
        items: are taken one at a time.

    Raises:
        OutputError: the disk refuses.
    """
    spool = Spool()
    return LazySequence(spool.read, [spool.append(item) for item in items])


class Spool:
    """Pickled items in a temporary file without a name, which disappears with this object or its process."""

    def __init__(self) -> None:
        self._lock, self._file = Lock(), SpooledTemporaryFile(_MAX_BYTES_IN_MEMORY)  # noqa: SIM115 (closed below)
        weakref.finalize(self, self._file.close)

    def append(self, item: Any) -> int:
        """Writes an item and returns its offset in the file.

        Raises:
            OutputError: the disk refuses.
        """
        try:
            with self._lock:
                self._file.seek(0, os.SEEK_END)
                offset = self._file.tell()
                pickle.dump(item, self._file, pickle.HIGHEST_PROTOCOL)
                self._file.flush()
        except OSError as error:
            raise write_error(Path("the folder for temporary files (TMPDIR)"), error) from error
        return offset

    def read(self, offset: int) -> Any:
        """Returns the item at an offset, a new copy each time."""
        with self._lock:
            self._file.seek(offset)
            return pickle.load(self._file)
