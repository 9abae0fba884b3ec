import os
import subprocess
import sys
from threading import Barrier, Thread

import numpy as np
import pytest

from fewshot_heads.landmarks.networks import load, sigmoid


def test_a_network_is_read_once():
    assert load("face_blendshapes") is load("face_blendshapes")


def test_threads_at_the_same_time_have_the_answers_of_one():
    network, inputs = load("face_blendshapes"), np.random.default_rng(0).random((4, 1, 146, 2), np.float32)
    expected, found, start = [network(data)[0] for data in inputs], {}, Barrier(len(inputs))

    def run(number: int) -> None:
        start.wait()
        found[number] = [network(inputs[number])[0] for _ in range(50)]

    threads = [Thread(target=run, args=(number,)) for number in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, answers in found.items():
        np.testing.assert_array_equal(answers, [expected[number]] * 50)
    assert len(found) == len(inputs)


AFTER_FORK = """
import os, sys, numpy as np
from fewshot_heads.landmarks.networks import load
data = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)
before = load("face_landmarks_detector")(data)[0]
if os.fork() == 0:
    sys.exit(0 if np.array_equal(load("face_landmarks_detector")(data)[0], before) else 1)
print(os.waitstatus_to_exitcode(os.wait()[1]), end="")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_the_same_answer_and_ends():
    words = [sys.executable, "-c", AFTER_FORK]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("0", "")


def test_a_probability_of_any_logit_is_finite():
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.float32([-1e4, 0, 1e4])), [0, 0.5, 1], atol=1e-6)
