"""Image conversion, quiet logging and closing at exit, which every MediaPipe task needs."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np


def to_mediapipe(image: np.ndarray):
    """Returns a `mediapipe.Image` for MediaPipe's networks.

    Args:
        image: uint8 RGB [H, W, 3].
    """
    import mediapipe as mp

    return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))


def at_exit(function: Callable[[], None]) -> None:
    """Registers a function that closes a MediaPipe task before the interpreter exits.

    MediaPipe closes through a thread pool. At the time of `atexit` this pool is gone, and MediaPipe complains on
    stderr. The function runs in the registering process only: a forked process, such as a data loader's worker, lacks
    the threads of the networks, and closing would hang.

    Args:
        function: closes the task.
    """
    owner = os.getpid()
    getattr(threading, "_register_atexit", atexit.register)(lambda: function() if os.getpid() == owner else None)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what is written to file descriptor 2, where MediaPipe's C++ code writes its logs."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
