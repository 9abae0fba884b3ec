"""What a person changes by keys while a live session runs."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

KEYS = {
    "r": "the face of now is the neutral one",
    "m": "mirror the driver",
    "n": "next portrait",
    "p": "less motion of the head",
    "P": "more motion of the head",
    "e": "less expression",
    "E": "more expression",
    "q": "quit",
}
_ESCAPE, _DIAL_STEP, _MAX_DIAL = "\x1b", 0.1, 2.0


class Controls:
    """The state that keys change. Threads read it, one thread presses keys.

    Attributes:
        pose: strength of the head's motion, 0 to 2.
        expression: strength of the expression, 0 to 2.
        is_mirrored: whether the driver is seen as in a mirror.
        portrait: index of the portrait.
        calibrations: how often a new reference was asked for.
        has_quit: whether the session ends.
    """

    def __init__(self, portraits: int = 1, pose: float = 1.0, expression: float = 1.0, mirror: bool = False) -> None:
        self._portraits = portraits
        self.pose, self.expression, self.is_mirrored = pose, expression, mirror
        self.portrait = self.calibrations = 0
        self.has_quit = False

    def press(self, key: str) -> bool:
        """Does what `KEYS` says, and returns whether the key is one of them.

        Args:
            key: one character. Escape quits too.
        """
        if key == "r":
            self.calibrations += 1
        elif key == "m":
            self.is_mirrored = not self.is_mirrored
        elif key == "n":
            self.portrait = (self.portrait + 1) % self._portraits
        elif key in ("p", "P"):
            self.pose = _turned(self.pose, key == "P")
        elif key in ("e", "E"):
            self.expression = _turned(self.expression, key == "E")
        elif key in ("q", _ESCAPE):
            self.has_quit = True
        return key in KEYS or key == _ESCAPE


def _turned(dial: float, up: bool) -> float:
    """Returns the next value of a dial."""
    return min(max(round(dial + (_DIAL_STEP if up else -_DIAL_STEP), 1), 0.0), _MAX_DIAL)


@contextmanager
def terminal_keys() -> Iterator[Iterator[str]]:
    """Gives an endless iterator over the keys pressed in the terminal, "" where none waits.

    Without a terminal, or on Windows, no key comes.
    """
    if termios is None or not sys.stdin or not sys.stdin.isatty():
        yield repeat("")
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)  # keys come at once and are not shown; Ctrl-C still interrupts
        yield (_waiting_key(descriptor) for _ in repeat(None))
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _waiting_key(descriptor: int) -> str:
    is_waiting = select.select([descriptor], [], [], 0)[0]
    return os.read(descriptor, 1).decode("ascii", "replace") if is_waiting else ""
