"""OpenCV's threads, while threads of ours each work on a frame, and those of a forked process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import cv2

_CALLING_THREAD = 0  # OpenCV's number for no threads; at 1 it would wait for the end of its threads, also in a fork
_lock = Lock()
_users, _threads = 0, 0  # inside `opencv_on_one_thread`, and OpenCV's number of threads outside


@contextmanager
def opencv_on_one_thread() -> Iterator[None]:
    """Keeps OpenCV to the calling thread. Else its threads interrupt those that work on other frames.

    Several threads may enter: the last one that leaves gives OpenCV its threads back.
    """
    global _users, _threads
    with _lock:
        if not _users:
            _threads = cv2.getNumThreads()
            cv2.setNumThreads(_CALLING_THREAD)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                cv2.setNumThreads(_threads if _threads > 1 else _CALLING_THREAD)


@cache
def forks_on_one_thread() -> None:
    """Keeps torch and OpenCV to one thread in processes that are forked from now on.

    A forked process lacks the threads of torch and OpenCV that its parent has started, and would wait for them forever.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(after_in_child=_on_one_thread)


def _on_one_thread() -> None:
    if torch := sys.modules.get("torch"):  # who only tracks does without
        torch.set_num_threads(1)
    cv2.setNumThreads(_CALLING_THREAD)
