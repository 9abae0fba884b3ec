"""Processes that are forked to compute, where a fork is safe.

Python lets one thread of a process work at a time, and a frame takes hundreds of small operations. So two threads
render a quarter more frames than one, and two processes nearly twice as many.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import TMonitor

from fewshot_heads.errors import BadInput, FewshotHeadsError
from fewshot_heads.imaging.threads import forks_on_one_thread

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext  # not on Windows

T = TypeVar("T")
R = TypeVar("R")
_work: Callable[[Any], Any]  # of a forked process


def can_fork() -> bool:
    """Returns whether a forked process may compute: on Linux, while the calling thread is the only one that works.

    A forked process lacks the other threads of its parent, and what they have locked stays locked. Torch has threads of
    its own, and its GPUs do not survive a fork. Nor do Apple's libraries. A daemon, such as a worker of
    `multiprocessing.Pool`, may have no children.
    """
    own = threading.current_thread()
    others = [thread for thread in threading.enumerate() if thread is not own and not isinstance(thread, TMonitor)]
    is_daemon = multiprocessing.current_process().daemon
    return sys.platform == "linux" and "torch" not in sys.modules and not others and not is_daemon


def check_not_forked(process: int, what: str) -> None:
    """Raises BadInput in a process that was forked after something was done: it lacks the threads that compute.

    Args:
        process: identifier of the process that did it.
        what: was done, for the message.
    """
    if os.getpid() != process:
        raise BadInput(f"{what} before a fork; do so again in each process")


@contextmanager
def forked_pool(work: Callable[[T], R], count: int) -> Iterator[Callable[[T], Future[R]]]:
    """Gives a function that has an item worked on in one of a few forked processes, all of which end with the block.

    Items and results are pickled, and the function is not.

    Args:
        work: returns the result for an item.
        count: number of processes.

    Raises:
        FewshotHeadsError: a process was killed.
    """
    pool = ProcessPoolExecutor(count, _context(), _start_forked, (work,))
    try:
        yield lambda item: pool.submit(_call, item)
    except BrokenProcessPool as error:
        raise _killed() from error
    finally:  # also if the caller takes no more
        pool.shutdown(cancel_futures=True)


@contextmanager
def forked_items(items: Callable[[], Iterable[T]]) -> Iterator[Iterator[T]]:
    """Gives an iterator over items that a forked process computes from now on. The process ends with the block.

    Items and errors are pickled. The process goes on while nothing is taken, and keeps what it has.

    Args:
        items: returns the items. It is called in the process.
    """
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(items, receiver, sender))
    process.start()
    sender.close()  # so that the end of the process ends the pipe
    try:
        yield _received(receiver)
    finally:
        process.terminate()
        process.join()
        receiver.close()


def _send(items: Callable[[], Iterable[Any]], receiver: Connection, sender: Connection) -> None:
    receiver.close()
    start_worker()
    with ThreadPoolExecutor(1) as pool:  # a pipe holds 64 kB, and waits then

        def send(message: Any) -> None:
            pool.submit(sender.send_bytes, pickle.dumps(message))

        try:
            for item in items():
                send((item, None))
            send(None)  # the end
        except Exception as error:  # raised again by the parent
            send((None, error))


def _received(receiver: Connection) -> Iterator[Any]:
    while message := _next(receiver):
        item, error = message
        if error is not None:
            raise error
        yield item


def _next(receiver: Connection) -> Any:
    try:
        return receiver.recv()
    except (EOFError, OSError) as end:  # between two messages, or within one
        raise _killed() from end


def _context() -> ForkContext:
    forks_on_one_thread()
    return multiprocessing.get_context("fork")


def _killed() -> FewshotHeadsError:
    return FewshotHeadsError("a process of this command was killed; give it more memory, or use threads=1")


def _start_forked(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    start_worker()


def _call(item: Any) -> Any:
    return _work(item)


def start_worker() -> None:
    """Prepares a new process: it leaves signals to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent ends its children
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)  # not the parent's handler
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:  # otherwise the workers of a killed parent wait for ever
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
