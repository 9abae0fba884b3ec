"""Memory of a command."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_M_ARENA_MAX = -8  # of malloc.h


def share_heap() -> None:
    """Makes all threads of this process allocate from one heap of glibc.

    By default each thread has a heap of its own, which keeps its largest size. Call before threads are started.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library has no mallopt
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
