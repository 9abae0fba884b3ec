"""OpenCV's threads, while threads of ours each work on a frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import cv2

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
            cv2.setNumThreads(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                cv2.setNumThreads(_threads)
