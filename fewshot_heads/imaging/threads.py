"""The threads of this library, those of the libraries that it calls, and those of a forked process.

Frames are rendered in parallel, each on one thread. OpenCV, the BLAS of numpy and torch would have threads of their own
for each frame, which wait for each other and keep the processor from the other frames.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Lock, local

import cv2
from threadpoolctl import ThreadpoolController

# OpenCV's numbers for the calling thread alone. Going to 1 it waits for the end of its threads, which a fork lacks.
# Coming from 0 it crashes another thread that is just counting them, `connectedComponents` for one (SIGFPE).
_ALONE, _ALONE_IN_FORK = 1, 0
_lock = Lock()
_users, _opencv_threads = 0, 0  # inside `libraries_on_one_thread`, and OpenCV's number of threads outside
_limits = ExitStack()  # of BLAS, as long as there are users
_chosen = local()


def available_cores() -> int:
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count() -> int:
    """Returns on how many threads the calling thread may compute: all cores, or what OMP_NUM_THREADS says."""
    environment = os.environ.get("OMP_NUM_THREADS", "")
    default = int(environment) if environment.isdecimal() and int(environment) else available_cores()
    return getattr(_chosen, "count", default)


def set_thread_count(count: int) -> None:
    """Sets on how many threads the calling thread may compute.

    Args:
        count: 1 or more.
    """
    _chosen.count = count
    if torch := sys.modules.get("torch"):  # a head that was fine-tuned is rendered with torch
        torch.set_num_threads(count)


@contextmanager
def libraries_on_one_thread() -> Iterator[None]:
    """Keeps OpenCV and BLAS to the calling thread. Else their threads interrupt those that work on other frames.

    Several threads may enter: the last one that leaves gives the libraries their threads back.
    """
    global _users, _opencv_threads
    with _lock:
        if not _users:
            _opencv_threads = cv2.getNumThreads()
            if _opencv_threads > 1:
                cv2.setNumThreads(_ALONE)
            _limits.enter_context(_blas().limit(limits=1, user_api="blas"))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                if _opencv_threads > 1:
                    cv2.setNumThreads(_opencv_threads)
                _limits.close()


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def forks_on_one_thread() -> None:
    """Keeps this library, torch and OpenCV to one thread in processes that are forked from now on.

    A forked process lacks the threads of torch, OpenCV and FFmpeg that its parent has started, and would wait for them
    forever.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(after_in_child=_on_one_thread)


def _on_one_thread() -> None:
    gc.freeze()  # to end the parent's decoders, garbage or not, FFmpeg would wait for their threads
    set_thread_count(1)
    cv2.setNumThreads(_ALONE_IN_FORK)
