"""Work on batches of frames in parallel, each on threads of its own."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.opencv_threads import opencv_on_one_thread

_MAX_WORKERS = 4  # batches computed at a time

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], batches: Iterable[T], device: torch.device) -> Iterator[R]:
    """Yields the results for batches in their order, a few of which are computed ahead.

    A frame takes hundreds of small operations of torch, which two threads hardly compute faster than one: they wait for
    each other after each. So torch's threads are shared out among batches. The results differ by rounding at most.

    Args:
        work: returns the result for a batch. It is called in several threads at once.
        batches: taken as they are needed.
        device: where the work is done. A GPU takes one batch at a time.

    Raises:
        BadInput: a process that was forked meanwhile takes a result: it lacks the threads that compute.
    """
    process = os.getpid()
    with render_pool(device) as (pool, workers):
        if workers == 1:
            yield from map(work, batches)
            return
        ahead: deque[Future[R]] = deque()

        def first() -> R:
            if os.getpid() != process:
                raise BadInput("these frames were begun before a fork; begin them again in each process")
            return ahead.popleft().result()

        for batch in batches:
            ahead.append(pool.submit(work, batch))
            if len(ahead) > workers:
                yield first()
        while ahead:
            yield first()


@contextmanager
def render_pool(device: torch.device) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Gives a pool for rendering, among whose workers torch's threads are shared out, and the number of its workers.

    Args:
        device: where the work is done. A GPU takes one job at a time.
    """
    threads = torch.get_num_threads()
    workers = min(threads, _MAX_WORKERS) if device.type == "cpu" else 1
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,))
    try:
        with opencv_on_one_thread():
            yield pool, workers
    finally:  # also if the caller takes no more
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # for threads that are yet to come: the workers have changed their number
