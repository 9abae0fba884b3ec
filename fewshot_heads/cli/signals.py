"""Ends commands on signals as on Ctrl-C: unfinished files are removed, and the exit code names the signal."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

Main = Callable[[Sequence[str] | None], int]

# Those that ask a process to end. Windows has fewer.
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]


class Ended(KeyboardInterrupt):
    """A signal asks the process to end.

    Attributes:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def ends_on_signals(main: Main) -> Callable[..., int]:
    """Decorates the `main` of a command: a signal ends the command without a traceback, with exit code 128 + number.

    A `main` imports its libraries late. So the seconds of import end like the work.
    """

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        _open_standard_files()
        try:
            with _signals_raise():
                return main(argv)
        except KeyboardInterrupt as stop:
            number = stop.number if isinstance(stop, Ended) else signal.SIGINT
            print(_told(number), file=sys.stderr)
            return 128 + number

    return guarded


def _open_standard_files() -> None:
    """Opens standard input, output and error where a caller closed them.

    Otherwise the next file that is opened, such as the result, takes their number and what libraries print.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # takes the lowest free number
        continue
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Raises Ended inside the block for each ending signal, unless a caller ignores or handles that signal."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other thread may set handlers
        usual = (signal.SIG_DFL, signal.default_int_handler)
        before = {number: handler for number in _ENDING if (handler := signal.getsignal(number)) in usual}
    for number in before:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    """Raises Ended. During an import, ends the process: torch calls Python from C++, which an exception aborts."""
    while frame and frame.f_code.co_filename != __file__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with suppress(OSError):
                os.write(2, f"{_told(number)}\n".encode())
            os._exit(128 + number)
        frame = frame.f_back
    raise Ended(number)


def _told(number: int) -> str:
    return f"interrupted ({signal.Signals(number).name})"
