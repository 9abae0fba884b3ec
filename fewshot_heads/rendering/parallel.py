"""Work on batches of frames in parallel, each on a thread of its own."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.threads import libraries_on_one_thread, set_thread_count, thread_count

_MAX_WORKERS = 4  # batches computed at a time

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], batches: Iterable[T]) -> Iterator[R]:
    """Yields the results for batches in their order, a few of which are computed ahead.

    A frame takes hundreds of small operations, which two threads hardly compute faster than one: they wait for each
    other after each. So threads are shared out among batches. The results differ by rounding at most.

    Args:
        work: returns the result for a batch. It is called in several threads at once.
        batches: taken as they are needed.

    Raises:
        BadInput: a process that was forked meanwhile takes a result: it lacks the threads that compute.
    """
    process = os.getpid()
    with render_pool() as (pool, workers):
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
def render_pool() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Gives a pool for rendering, among whose workers the threads are shared out, and the number of its workers."""
    threads = thread_count()
    workers = min(threads, _MAX_WORKERS)
    pool = ThreadPoolExecutor(workers, initializer=set_thread_count, initargs=(threads // workers,))
    try:
        with libraries_on_one_thread():
            yield pool, workers
    finally:  # also if the caller takes no more
        pool.shutdown(cancel_futures=True)
        set_thread_count(threads)  # torch's number is that of the process too: the workers have changed it
