"""A queue of one item between two threads."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds the newest item. One that nobody took in time is dropped, so a slow reader never lags."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._items: list[T] = []  # none or one
        self._is_closed = False

    def put(self, item: T) -> None:
        """Replaces the item that waits, if any."""
        with self._changed:
            self._items = [item]
            self._changed.notify()

    def close(self) -> None:
        """Ends every reader, after the item that waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def is_finished(self) -> bool:
        """Whether the queue is closed and no item waits."""
        with self._changed:
            return self._is_closed and not self._items

    def take(self, timeout: float | None = None) -> T | None:
        """Returns the item as soon as there is one. None after `timeout` seconds, or once the queue is finished."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_closed, timeout)
            return self._items.pop() if self._items else None

    def __iter__(self) -> Iterator[T]:
        """Yields items until the queue is finished."""
        while not self.is_finished:
            item = self.take()
            if item is not None:
                yield item
