"""Work of the page: one job a core, with progress, time left and an end on request. Knows nothing of Gradio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.threads import available_cores, set_thread_count, thread_count
from fewshot_heads.reenactor import Reenactor

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_SECONDS = 0.25  # between two looks at a job's progress
_MIN_SECONDS_BEFORE_ESTIMATE = 2.0


class Cancelled(Exception):
    """The person who started a job no longer wants it."""


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        stage: what is being done, in words.
        share: done part of the whole job, 0 to 1.
        seconds_left: estimate, or None if it is too early for one.
    """

    stage: str
    share: float
    seconds_left: float | None


class Job:
    """One piece of work, seen by the thread that does it and by the page that waits for it.

    Args:
        stages: what is done, in order, with its share of the job's time. The shares sum to 1.
    """

    def __init__(self, stages: Mapping[str, float]) -> None:
        self._stages = dict(stages)
        self._cancelled = threading.Event()
        self._began: float | None = None
        self._at = ("", 0.0)

    def wait(self, before: int) -> None:
        """Notes that the job waits for a core, behind this many others."""
        others = f", {before} before this one" if before else ""
        self._at = (f"Waiting for a free processor core{others}", 0.0)

    def begin(self) -> None:
        """Starts the clock, once a core is free.

        Raises:
            Cancelled: the job was cancelled.
        """
        self.step(next(iter(self._stages)))
        self._began = time.monotonic()

    def cancel(self) -> None:
        """Asks the work to end: its next `step` raises Cancelled."""
        self._cancelled.set()

    def step(self, stage: str, done: int = 0, total: int | None = None) -> None:
        """Notes how far the work is.

        Args:
            stage: one of the stages.
            done: finished items of the stage.
            total: items of the stage, as far as known.

        Raises:
            Cancelled: the job was cancelled.
        """
        if self._cancelled.is_set():
            raise Cancelled
        names = list(self._stages)
        before = sum(self._stages[name] for name in names[: names.index(stage)])
        part = min(1.0, done / total) if total else 0.0
        counted = f" {done} of {total}" if total and total > 1 else ""
        self._at = (f"{stage}{counted}", before + part * self._stages[stage])

    def watch(self, stage: str, items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
        """Yields items, and makes a `step` before the first and after each."""
        self.step(stage, 0, total)
        for done, item in enumerate(items, 1):
            yield item
            self.step(stage, done, total)

    def progress(self) -> Progress:
        """Returns how far the work is now."""
        stage, share = self._at
        seconds = 0.0 if self._began is None else time.monotonic() - self._began
        known = share > 0 and seconds >= _MIN_SECONDS_BEFORE_ESTIMATE
        return Progress(stage, share, seconds * (1 - share) / share if known else None)


class Workers:
    """Threads that do jobs, each with a `Reenactor` of its own, which opens with the thread's first job.

    A job takes all threads while it is alone. Later ones share them, unless each has a fixed number.

    Args:
        open_reenactor: makes a reenactor.
        count: jobs at a time; None takes one a core.
        max_waiting: jobs that may wait.
        threads: of each job; None shares all.
    """

    def __init__(
        self, open_reenactor: Callable[[], Reenactor], count: int | None = None, max_waiting: int = 50,
        threads: int | None = None,
    ) -> None:  # fmt: skip
        self.count, self.max_waiting, self._threads_each = count or available_cores(), max_waiting, threads
        self._open = open_reenactor
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="job")
        self._local = threading.local()
        self._opening, self._counting = threading.Lock(), threading.Lock()
        self._running: list[Job] = []
        self._waiting: list[Job] = []
        self._threads: int | None = None

    def run(
        self, work: Callable[[Reenactor, Job], Result], stages: Mapping[str, float]
    ) -> Generator[Progress, None, Result]:
        """Yields the progress of a job four times a second, and returns its result.

        Closing the generator cancels the job.

        Args:
            work: called in a thread of its own.
            stages: see `Job`.

        Raises:
            BadInput: too many jobs wait.
            Exception: what the work raised.
        """
        job = Job(stages)
        with self._counting:
            if len(self._waiting) >= self.max_waiting:
                raise BadInput("too many jobs wait already; try again in some minutes")
            self._waiting.append(job)
            future = self._pool.submit(self._do, work, job)
        try:
            while not future.done():
                with self._counting:
                    if job in self._waiting:
                        job.wait(self._waiting.index(job))
                yield job.progress()
                wait([future], _POLL_SECONDS)
            return future.result()
        except CancelledError as error:  # the server ends
            raise Cancelled from error
        finally:
            job.cancel()
            if future.cancel():
                self._waiting.remove(job)

    def open_one(self) -> None:
        """Opens the first reenactor, so that a wrong model is told before the page is there."""
        self._pool.submit(self._reenactor).result()

    def close(self) -> None:
        """Takes no more jobs, drops those that wait and cancels those that run."""
        for job in list(self._running):
            job.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _do(self, work: Callable[[Reenactor, Job], Result], job: Job) -> Result:
        with self._counting:
            self._waiting.remove(job)
            self._running.append(job)
            running = len(self._running)
        try:
            job.begin()
            reenactor = self._reenactor()
            set_thread_count(self._threads_each or max(1, (self._threads or 1) // running))
            return work(reenactor, job)
        finally:
            with self._counting:
                self._running.remove(job)

    def _reenactor(self) -> Reenactor:
        """Returns the reenactor of this thread."""
        if not hasattr(self._local, "reenactor"):
            with self._opening:
                self._local.reenactor = self._open()
                self._threads = self._threads or thread_count()
        reenactor: Reenactor = self._local.reenactor
        return reenactor


def result_of(job: Generator[Progress, None, Result]) -> Result:
    """Returns the result of a job that is too short to show its progress.

    Args:
        job: of `Workers.run`.
    """
    try:
        while True:
            next(job)
    except StopIteration as end:
        result: Result = end.value
        return result
