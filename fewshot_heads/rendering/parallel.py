"""Work on batches of frames in parallel, each in a process or on a thread of its own."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from fewshot_heads.imaging.forks import can_fork, check_not_forked, forked_pool
from fewshot_heads.imaging.threads import libraries_on_one_thread, set_thread_count, thread_count

_MAX_WORKERS = 4  # batches computed at a time

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], batches: Iterable[T]) -> Iterator[R]:
    """Yields the results for batches in their order, a few of which are computed ahead.

    Cores are shared out among batches: in forked processes, or on threads where a fork is not safe (`can_fork`). The
    results differ by rounding at most.

    Args:
        work: returns the result for a batch. Several calls run at once.
        batches: taken as they are needed, in the thread of the caller. Both they and the results can be pickled.

    Raises:
        BadInput: a process that was forked meanwhile takes a result: it lacks the threads that compute.
        FewshotHeadsError: a process that computes was killed.
    """
    process, workers = os.getpid(), min(thread_count(), _MAX_WORKERS)
    if workers == 1:
        with libraries_on_one_thread():
            yield from map(work, batches)
        return
    with libraries_on_one_thread(), forked_pool(work, workers) if can_fork() else _threads(work) as submit:
        ahead: deque[Future[R]] = deque()

        def first() -> R:
            check_not_forked(process, "these frames were begun")
            return ahead.popleft().result()

        for batch in batches:
            ahead.append(submit(batch))
            if len(ahead) > workers:
                yield first()
        while ahead:
            yield first()


@contextmanager
def _threads(work: Callable[[T], R]) -> Iterator[Callable[[T], Future[R]]]:
    """Gives a function that has a batch worked on by one of a few threads."""
    with render_pool() as (pool, _):
        yield lambda batch: pool.submit(work, batch)


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
