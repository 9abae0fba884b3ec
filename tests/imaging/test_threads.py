import os
import subprocess
import sys

import cv2
import pytest

from fewshot_heads.imaging.threads import libraries_on_one_thread


def test_the_last_to_leave_gives_opencv_its_threads_back():
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        first, second = libraries_on_one_thread(), libraries_on_one_thread()
        first.__enter__()
        second.__enter__()
        assert cv2.getNumThreads() == 1
        first.__exit__(None, None, None)
        assert cv2.getNumThreads() == 1
        second.__exit__(None, None, None)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


AFTER_FORK = """
import os, signal, cv2, numpy as np, torch
from fewshot_heads.imaging.threads import libraries_on_one_thread
from fewshot_heads.models.checkpoint import load_checkpoint
os.register_at_fork(after_in_child=lambda: signal.alarm(20))  # ends a child that waits
torch.set_num_threads(2)
cv2.setNumThreads(2)
image = np.zeros((2000, 2000, 3), np.uint8)
load_checkpoint("realtime")
cv2.GaussianBlur(image, (9, 9), 0)
if os.fork() == 0:
    load_checkpoint("realtime")
    with libraries_on_one_thread():
        cv2.GaussianBlur(image, (9, 9), 0)
    cv2.GaussianBlur(image, (9, 9), 0)
    os._exit(10 * torch.get_num_threads() + cv2.getNumThreads())
print(os.waitstatus_to_exitcode(os.wait()[1]), torch.get_num_threads(), cv2.getNumThreads(), end="")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_computes_on_one_thread_and_never_waits_for_those_of_its_parent():
    done = subprocess.run([sys.executable, "-c", AFTER_FORK], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "11 2 2"


def test_threads_come_and_go_while_others_count_them():
    """From 0 threads to 2, OpenCV divides by zero elsewhere, and the process dies."""
    code = """
import threading, time
import cv2, numpy as np
from fewshot_heads.imaging.threads import libraries_on_one_thread
cv2.setNumThreads(2)
image, end = np.random.default_rng(0).integers(0, 2, (400, 400), np.uint8), time.monotonic() + 4
def render():
    while time.monotonic() < end:
        with libraries_on_one_thread():
            pass
def count():
    while time.monotonic() < end:
        cv2.connectedComponents(image)
threads = [threading.Thread(target=work) for work in (render, count, count)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
