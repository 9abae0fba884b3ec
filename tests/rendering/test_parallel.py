"""Batches that are computed in parallel."""

import os
import signal
import threading
from itertools import count, islice

import pytest
import torch

from fewshot_heads import BadInput
from fewshot_heads.rendering.parallel import in_parallel
from tests.conftest import threads


@pytest.fixture
def two_threads():
    yield from threads(2)


def test_results_come_in_order_from_workers_with_their_share_of_the_threads(two_threads):
    results = list(in_parallel(lambda i: (i, torch.get_num_threads(), threading.get_ident()), range(20)))
    assert [i for i, _, _ in results] == list(range(20))
    assert {threads for _, threads, _ in results} == {1}
    assert threading.get_ident() not in {ident for _, _, ident in results}


def test_few_batches_are_taken_ahead(two_threads):
    taken = []
    results = in_parallel(lambda i: i, (taken.append(i) or i for i in count()))
    assert taken == [] and list(islice(results, 3)) == [0, 1, 2]
    assert len(taken) == 5
    results.close()


def test_the_caller_keeps_its_threads_when_it_stops_early(two_threads):
    results = in_parallel(lambda i: i, count())
    next(results)
    results.close()
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [2] and torch.get_num_threads() == 2


def test_an_error_of_a_batch_reaches_the_caller(two_threads):
    results = in_parallel(lambda i: 1 // (3 - i), range(9))
    assert list(islice(results, 3)) == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_one_thread_works_in_the_thread_of_the_caller(one_thread):
    results = in_parallel(lambda i: threading.get_ident(), range(3))
    assert set(results) == {threading.get_ident()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_that_takes_a_result_is_told(two_threads):
    results = in_parallel(lambda i: i, count())
    next(results)
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # ends a child that waits
        try:
            list(results)
        except BadInput as error:
            os._exit(7 if "begun before a fork" in str(error) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    results.close()
