"""Maps a function over items in local processes or on a Ray cluster.

A worker that dies costs one item. The run continues.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2

from fewshot_heads.errors import BadInput, FewshotHeadsError
from fewshot_heads.imaging.forks import start_worker
from fewshot_heads.imaging.threads import set_thread_count, thread_count

Item = TypeVar("Item")
Work = Callable[[Any], None]


class WorkerDied(FewshotHeadsError):
    """The process that worked on an item crashed or was killed, each time."""


Outcomes = Generator[tuple[Item, WorkerDied | None], None, None]


def map_in_processes(work: Work, items: Iterable[Item], workers: Mapping[str, Any]) -> Outcomes[Item]:
    """Calls work(item) for every item, in any order; yields (item, None) or (item, WorkerDied).

    Args:
        work: the function. It must be picklable.
        items: the arguments.
        workers: {"backend": "local", "processes": N} or {"backend": "ray", "address": A}. N is None for one process a
            core, 0 for this process only.

    Raises:
        FewshotHeadsError: the first error that `work` raises. It ends all other work.
        BadInput: Ray is not installed, or no cluster answers at the address.
    """
    if workers["backend"] == "ray":
        return _map_on_ray(work, items, workers["address"])
    processes = workers["processes"]
    if processes == 0:
        return _map_in_this_process(work, items)
    return _map_locally(work, items, processes or os.cpu_count() or 1)


def _map_in_this_process(work: Work, items: Iterable[Item]) -> Outcomes[Item]:
    for item in items:
        with _one_thread():
            work(item)
        yield item, None


def _map_locally(work: Work, items: Iterable[Item], processes: int) -> Outcomes[Item]:
    queue = deque(items)
    while queue:
        for item in (yield from _pool(work, queue, processes)):
            # A dead worker breaks the whole pool. Each running item is tried again alone: the guilty one dies again.
            if (yield from _pool(work, deque([item]), 1)):
                yield item, WorkerDied("the process that worked on it crashed or was killed")


def _pool(work: Work, queue: deque[Item], processes: int) -> Generator[tuple[Item, None], None, list[Item]]:
    """Works off the queue in processes; yields (item, None).

    Returns the items that ran when a worker died. Items that had not started stay in the queue.
    """
    earlier_children = set(multiprocessing.active_children())
    # Spawned: torch and OpenCV have threads, which do not survive a fork.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), start_worker)
    running: dict[Future, Item] = {}
    try:
        while queue or running:
            while queue and len(running) < 2 * processes:
                running[pool.submit(_call, work, queue[0])] = queue[0]
                queue.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                error = future.result()
                if error:
                    raise error
                yield running.pop(future), None
        pool.shutdown()
        return []
    except BrokenProcessPool:
        pool.shutdown()
        return list(running.values())
    except BaseException:  # an error or Ctrl-C: the running items could take minutes more
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - earlier_children:
            child.terminate()
        raise


def _map_on_ray(work: Work, items: Iterable[Item], address: str) -> Outcomes[Item]:
    try:
        import ray
    except ImportError as error:
        raise BadInput("workers=ray: Ray is not installed; pip install 'fewshot_heads[ray]'") from error
    started_ray = not ray.is_initialized()
    if started_ray:
        try:
            with _keeping_sigterm():
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError) as error:
            raise BadInput(
                f"workers.address={address}: no Ray cluster there; start one with `ray start --head`, or take "
                "workers.address=local"
            ) from error
    task = ray.remote(_call)
    max_running = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    queue = iter(items)
    running: dict[Any, Item] = {}
    try:
        while True:
            while len(running) < max_running and (item := next(queue, None)) is not None:
                running[task.remote(work, item)] = item
            if not running:
                return
            (reference,), _ = ray.wait(list(running))
            item = running.pop(reference)
            try:
                failure = ray.get(reference)
            except ray.exceptions.RayError as died:
                yield item, WorkerDied(f"the Ray worker that worked on it died ({type(died).__name__})")
                continue
            if failure:
                raise failure
            yield item, None
    finally:
        for unfinished in running:
            ray.cancel(unfinished, force=True)
        if started_ray:
            ray.shutdown()


@contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Puts the handler of SIGTERM back at the end. Ray's own would lose the exit code of `cli.signals`."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _call(work: Work, item: Any) -> FewshotHeadsError | None:
    """Calls work(item); returns an error of this library as a value.

    Ray would wrap a raised error in its own class.
    """
    with _one_thread():
        try:
            work(item)
        except FewshotHeadsError as error:
            return error
    return None


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limits this library and OpenCV to one thread.

    Workers with a thread a core would compete for the cores. Sums do not depend on the number of cores.
    """
    previous = thread_count(), cv2.getNumThreads()
    set_thread_count(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        set_thread_count(previous[0])
        cv2.setNumThreads(previous[1])
