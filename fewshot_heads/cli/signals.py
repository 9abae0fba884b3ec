"""Ends commands on signals as on Ctrl-C: unfinished files are removed, and the exit code names the signal."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

Main = Callable[[Sequence[str] | None], int]

# Those that ask a process to end. Windows has fewer. Python itself turns SIGINT into KeyboardInterrupt.
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]


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
            print(f"interrupted ({signal.Signals(number).name})", file=sys.stderr)
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
    changed = []
    if threading.current_thread() is threading.main_thread():  # no other thread may set handlers
        changed = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _raise_ended)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _raise_ended(number: int, _: FrameType | None) -> None:
    raise Ended(number)
