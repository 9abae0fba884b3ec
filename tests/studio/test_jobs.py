"""Jobs of the page, with work that needs no network."""

import threading
import time
from contextlib import closing

import pytest

from fewshot_heads.errors import BadInput
from fewshot_heads.studio import jobs
from fewshot_heads.studio.jobs import Cancelled, Job, Workers

STAGES = {"reading": 0.25, "animating": 0.75}


@pytest.fixture
def workers(monkeypatch):
    monkeypatch.setattr(jobs, "_POLL_SECONDS", 0.01)
    workers = Workers(object, 2)
    yield workers
    workers.close()


def finished(generator):
    """What a job returns."""
    try:
        while True:
            next(generator)
    except StopIteration as end:
        return end.value


def test_workers__twenty_jobs_at_once_are_all_done_two_at_a_time_with_a_reenactor_each(workers):
    running, most, seen, results, lock = 0, 0, set(), [], threading.Lock()

    def work(reenactor, job):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            seen.add(id(reenactor))
        time.sleep(0.02)
        with lock:
            running -= 1
        return job

    def ask():
        results.append(finished(workers.run(work, STAGES)))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(results)) == 20
    assert most == 2 and len(seen) == 2


def test_workers__a_closed_job_ends_at_its_next_step_and_frees_its_core(workers):
    ended = []

    def work(reenactor, job):
        try:
            for _ in job.watch("animating", iter(int, 1)):
                time.sleep(0.005)
        except Cancelled:
            ended.append(True)
            raise

    for _ in range(3):  # more than there are threads
        with closing(workers.run(work, STAGES)) as progress:
            while next(progress).stage != "animating":
                pass
    assert finished(workers.run(lambda reenactor, job: "next", STAGES)) == "next"
    deadline = time.monotonic() + 5
    while len(ended) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(ended) == 3


def test_workers__a_job_that_is_closed_while_it_waits_never_begins(workers):
    free, begun = threading.Event(), []
    busy = [workers.run(lambda reenactor, job: free.wait(5), STAGES) for _ in range(2)]
    for job in busy:
        while next(job).stage != "reading":
            pass
    waiting = workers.run(lambda reenactor, job: begun.append(True), STAGES)
    assert next(waiting).stage == "Waiting for a free processor core"
    behind = workers.run(lambda reenactor, job: begun.append(True), STAGES)
    assert next(behind).stage == "Waiting for a free processor core, 1 before this one"
    waiting.close()
    assert next(behind).stage == "Waiting for a free processor core"
    behind.close()
    free.set()
    assert [finished(job) for job in busy] == [True, True]
    assert begun == []


def test_workers__too_many_jobs_are_refused_and_those_that_wait_are_done(monkeypatch):
    monkeypatch.setattr(jobs, "_POLL_SECONDS", 0.01)
    workers, free = Workers(object, 1, max_waiting=2), threading.Event()
    asked = []
    for number in range(3):
        asked.append(workers.run(lambda reenactor, job, number=number: free.wait(5) and number, STAGES))
        while number == 0 and next(asked[0]).stage != "reading":
            pass
        next(asked[-1])
    with pytest.raises(BadInput, match="too many jobs wait"):
        next(workers.run(lambda reenactor, job: None, STAGES))
    free.set()
    assert [finished(job) for job in asked] == [0, 1, 2]
    workers.close()


def test_workers__an_error_reaches_the_caller_and_the_next_job_is_done(workers):
    def work(reenactor, job):
        raise BadInput("a.jpg: no")

    with pytest.raises(BadInput, match=r"a\.jpg: no"):
        finished(workers.run(work, STAGES))
    assert finished(workers.run(lambda reenactor, job: 5, STAGES)) == 5


def test_workers__a_wrong_model_is_told_at_the_start():
    def open_reenactor():
        raise BadInput("model=x: no such file")

    with pytest.raises(BadInput, match="model=x"):
        Workers(open_reenactor, 1).open_one()


def test_job__time_left_follows_from_the_share_that_is_done(monkeypatch):
    now = 100.0
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now)
    job = Job(STAGES)
    job.begin()
    job.step("reading")
    assert job.progress().seconds_left is None  # too early
    now += 10
    job.step("reading", 4, 4)
    assert job.progress() == jobs.Progress("reading 4 of 4", 0.25, 30.0)
    now += 10
    job.step("animating", 1, 3)
    assert job.progress() == jobs.Progress("animating 1 of 3", 0.5, 20.0)
    job.step("animating", 5, 3)  # an estimate of the number of frames may be too low
    assert job.progress().share == 1 and job.progress().seconds_left == 0


def test_workers__all_jobs_end_with_the_server(monkeypatch):
    monkeypatch.setattr(jobs, "_POLL_SECONDS", 0.01)
    workers = Workers(object, 1)

    def work(reenactor, job):
        for _ in job.watch("animating", iter(int, 1)):
            time.sleep(0.005)

    busy, waiting = (workers.run(work, STAGES) for _ in range(2))
    while next(busy).stage != "animating":
        pass
    next(waiting)
    workers.close()
    for job in (busy, waiting):
        with pytest.raises(Cancelled):
            finished(job)
