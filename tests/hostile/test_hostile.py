"""A bad file or option ends every command with one line: what is wrong, and the remedy. Nothing is lost or left behind.

The default takes about two minutes. A longer run: `python -m pytest tests/hostile --cases 5000 --seed 7`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fewshot_heads.verify import NOT_MARKED
from tests.hostile.cases import Case, hostile_cases
from tests.hostile.command_runner import MAX_PEAK_MIB, CommandRunner, Outcome
from tests.hostile.damage import damage_file
from tests.hostile.good_files import write_good_files

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices")


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = hostile_cases(metafunc.config.getoption("--cases"), metafunc.config.getoption("--seed"))
        metafunc.parametrize("case", cases, ids=[case.name for case in cases])


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    write_good_files(folder)
    return folder


@pytest.fixture(scope="module")
def runner():
    runner = CommandRunner()
    yield runner
    runner.stop()


def contents(folder: Path) -> dict[str, str]:
    """What lies in a folder, with the hash of each regular file."""
    files = {}
    for path in folder.rglob("*"):
        is_file = path.is_file() and not path.is_symlink()
        files[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "special"
    return files


@pytest.fixture
def folder(tmp_path) -> Iterator[Path]:
    """A folder that is emptied after the test: thousands of cases would fill the disk."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def faults(case: Case, outcome: Outcome, before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """What is wrong with the end of a command."""
    if outcome.code == 0 and case.spoil is damage_file:  # drawn damage may be harmless and look like a face
        return
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if changed - set(case.place.leaves):
        yield f"left behind or lost: {sorted(changed)}"
    if outcome.peak_mib > MAX_PEAK_MIB:
        yield f"{outcome.peak_mib:.0f} MiB"
    if case.place.command == "verify" and (outcome.code, outcome.errors) == (NOT_MARKED, ""):
        return
    if outcome.code not in (1, 2):
        yield f"exit code {outcome.code}"
    *warnings, error = outcome.errors.splitlines() or [""]
    if not error.startswith("error: ") or any(line.startswith("error: ") for line in warnings):
        yield "not one line of error"
    if not all(any(name in line for name in case.told) for line in (*warnings, error)):
        yield "does not name what is wrong"
    if "; " not in error and "expected" not in error:
        yield "no remedy"
    if "--debug" in error:
        yield "an internal error"


def test_a_bad_input_is_one_line(case: Case, good, runner, folder, request):
    case.make(folder, good, request.config.getoption("--seed"))
    before = contents(folder)
    outcome = runner.run(case.place.command, case.arguments(), folder)
    found = list(faults(case, outcome, before, contents(folder)))
    assert not found, f"{case.place.command} {case.arguments()}\n{outcome.errors}"


def test_cases_differ_and_a_seed_repeats_them():
    listed, cases = hostile_cases(0, 1), hostile_cases(200, 1)
    assert len({case.name for case in cases}) == len(cases) == len(listed) + 200
    assert [case.arguments() for case in cases] == [case.arguments() for case in hostile_cases(200, 1)]
