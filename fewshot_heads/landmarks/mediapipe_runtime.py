"""What every MediaPipe task needs: images, quiet logging and closing at exit."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np


def to_mediapipe(image: np.ndarray):
    """uint8 [H, W, 3] as MediaPipe's networks take it."""
    import mediapipe as mp

    return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))


def at_exit(function: Callable[[], None]) -> None:
    """MediaPipe closes through a thread pool, which is gone by the time of `atexit` (it would complain on stderr).

    A forked process, such as a data loader's worker, has the networks without their threads: there it would hang.
    """
    owner = os.getpid()
    getattr(threading, "_register_atexit", atexit.register)(lambda: function() if os.getpid() == owner else None)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """MediaPipe's C++ logs go straight to file descriptor 2; a user has no use for them."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
