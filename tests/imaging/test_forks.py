"""Processes that are forked to compute."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fewshot_heads.errors import BadInput, FewshotHeadsError
from fewshot_heads.imaging import forks
from tests.conftest import write_clip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")


def test_only_a_process_whose_other_threads_rest_may_fork(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread()])
    assert forks.can_fork()
    monkeypatch.setitem(sys.modules, "torch", object())
    assert not forks.can_fork()
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread(), threading.Thread()])
    assert not forks.can_fork()
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread()])
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    assert not forks.can_fork()


def test_a_pool_works_in_other_processes_and_passes_errors_on():
    def work(item):
        if item == 3:
            raise BadInput("three")
        return item, os.getpid()

    with forks.forked_pool(work, 2) as submit:
        results = [submit(item) for item in range(5)]
        assert [results[item].result()[0] for item in (0, 1, 2, 4)] == [0, 1, 2, 4]
        assert os.getpid() not in {results[item].result()[1] for item in (0, 1, 2, 4)}
        with pytest.raises(BadInput, match="three"):
            results[3].result()


def test_a_killed_process_of_a_pool_is_one_line():
    with pytest.raises(FewshotHeadsError, match="was killed"), forks.forked_pool(os._exit, 1) as submit:
        submit(1).result()


def test_items_come_in_order_and_an_error_after_them():
    def items():
        yield from range(3)
        raise BadInput("no more")

    with forks.forked_items(items) as received:
        assert [next(received) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(BadInput, match="no more"):
            next(received)


def test_items_end_with_the_last_one():
    with forks.forked_items(lambda: [None, 0]) as received:
        assert list(received) == [None, 0]


def test_items_that_nobody_takes_do_not_stop_the_process(tmp_path):
    def items():
        yield from (bytes(2**20) for _ in range(3))  # a pipe holds 2**16 bytes
        (tmp_path / "done").touch()

    with forks.forked_items(items) as received:
        end = time.time() + 60
        while not (tmp_path / "done").exists():
            assert time.time() < end
            time.sleep(0.01)
        assert [len(item) for item in received] == [2**20] * 3


def test_a_system_without_forks_can_import_the_module():
    code = "import multiprocessing.context as c; del c.ForkContext; import fewshot_heads.imaging.forks"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_block_ends_a_process_that_still_computes():
    with forks.forked_items(lambda: (os.getpid() if i == 0 else time.sleep(60) for i in range(2))) as received:
        child = next(received)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_killed_process_of_items_is_one_line():
    killed = forks.forked_items(lambda: [os.kill(os.getpid(), signal.SIGKILL)])
    with killed as received, pytest.raises(FewshotHeadsError, match="was killed"):
        next(received)


def test_a_process_that_is_killed_within_an_item_is_one_line():
    def items():
        yield bytes(2**24)
        time.sleep(0.1)  # the pipe is full, and the item is not sent
        os.kill(os.getpid(), signal.SIGKILL)

    with forks.forked_items(items) as received, pytest.raises(FewshotHeadsError, match="was killed"):
        time.sleep(0.5)
        list(received)


ANIMATION = """
import sys
from fewshot_heads import Reenactor
from fewshot_heads.imaging import forks
from fewshot_heads.imaging.threads import set_thread_count
begun, pool = [], forks.forked_pool
def counted(work, count):
    begun.append(count)
    return pool(work, count)
from fewshot_heads.rendering import parallel
parallel.forked_pool = counted
reenactor = Reenactor.from_pretrained()
head, motion = reenactor.embed([sys.argv[1]]), reenactor.track(sys.argv[2])
sums = []
for threads in (1, 2):
    set_thread_count(threads)
    sums.append([int(frame.sum()) for frame in reenactor.animate(head, motion)])
assert sums[0] == sums[1] and len(sums[0]) == 6, sums
assert begun == [2], begun
"""


def test_frames_of_processes_are_those_of_one_thread(tmp_path, driver_frames, mona_path):
    clip = write_clip(tmp_path / "clip.mp4", driver_frames[:6])
    subprocess.run([sys.executable, "-c", ANIMATION, mona_path, clip], check=True)
