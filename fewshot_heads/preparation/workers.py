"""One function over many items, on this machine's processes or a Ray cluster; a worker that dies costs one item."""

from __future__ import annotations

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
import torch

from fewshot_heads.errors import BadInput, FewshotHeadsError

Item = TypeVar("Item")
Work = Callable[[Any], None]


class WorkerDied(FewshotHeadsError):
    """A process that crashed or was killed each time it worked on an item."""


Outcomes = Generator[tuple[Item, WorkerDied | None], None, None]


def map_in_processes(work: Work, items: Iterable[Item], workers: Mapping[str, Any]) -> Outcomes[Item]:
    """work(item) for every item, in any order; yields each item when it is done, or with what killed its worker.

    workers: {"backend": "local", "processes": N, null for one a core, 0 for none but this one}, or
    {"backend": "ray", "address": A}. An error that `work` raises ends it all and is raised here.
    """
    if workers["backend"] == "ray":
        return _ray(work, items, workers["address"])
    processes = workers["processes"]
    if processes == 0:
        return _inline(work, items)
    return _local(work, items, processes or os.cpu_count() or 1)


def _inline(work: Work, items: Iterable[Item]) -> Outcomes[Item]:
    for item in items:
        with _one_thread():
            work(item)
        yield item, None


def _local(work: Work, items: Iterable[Item], processes: int) -> Outcomes[Item]:
    queue = deque(items)
    while queue:
        for item in (yield from _pool(work, queue, processes)):
            # A dead worker takes all that was under way with it. Whoever is to blame dies again, alone.
            if (yield from _pool(work, deque([item]), 1)):
                yield item, WorkerDied("the process that worked on it crashed or was killed")


def _pool(work: Work, queue: deque[Item], processes: int) -> Generator[tuple[Item, None], None, list[Item]]:
    """Works the queue off; returns what was under way when a worker died, the rest is left in the queue."""
    others = set(multiprocessing.active_children())
    # Not forked: torch, OpenCV and MediaPipe have threads, which a fork would leave behind half-way.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_worker)
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
    except BaseException:  # an error or Ctrl-C: what is under way can be minutes from its end
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise


def _ray(work: Work, items: Iterable[Item], address: str) -> Outcomes[Item]:
    try:
        import ray
    except ImportError as error:
        raise BadInput("workers=ray: Ray is not installed; pip install 'fewshot_heads[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError) as error:
            raise BadInput(
                f"workers.address={address}: no Ray cluster there; start one with `ray start --head`, or take "
                "workers.address=local"
            ) from error
    task = ray.remote(_call)
    at_once = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    queue = iter(items)
    running: dict[Any, Item] = {}
    try:
        while True:
            while len(running) < at_once and (item := next(queue, None)) is not None:
                running[task.remote(work, item)] = item
            if not running:
                return
            (done,), _ = ray.wait(list(running))
            item = running.pop(done)
            try:
                failed = ray.get(done)
            except ray.exceptions.RayError as died:
                yield item, WorkerDied(f"the Ray worker that worked on it died ({type(died).__name__})")
                continue
            if failed:
                raise failed
            yield item, None
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if ours:
            ray.shutdown()


def _call(work: Work, item: Any) -> FewshotHeadsError | None:
    """Our own errors travel as values: Ray would wrap them in its own."""
    with _one_thread():
        try:
            work(item)
        except FewshotHeadsError as error:
            return error
    return None


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread a worker: as many as cores each would only be in each other's way, and sums stay the same."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:  # a killed parent would leave its workers waiting for ever
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
