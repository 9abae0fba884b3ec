"""`preparation.workers`: local processes and, where Ray is installed, Ray on this machine."""

import signal
import sys

import pytest

from fewshot_heads.errors import BadInput
from fewshot_heads.preparation.workers import WorkerDied, map_in_processes
from fewshot_heads.prepare import main
from tests.preparation.conftest import SMALL, contents, prepare


def refuse(item):
    raise BadInput(f"{item}: no")


def test_a_worker_that_dies_costs_one_item():
    bad, good = "__import__('os')._exit(1)", "1 + 1"
    done = dict(map_in_processes(eval, [bad, good], {"backend": "local", "processes": 1}))
    assert isinstance(done[bad], WorkerDied) and done[good] is None and len(done) == 2


def test_ray_writes_the_same_bytes(footage, tmp_path):
    pytest.importorskip("ray")
    prepare(footage, tmp_path / "one")
    assert main([str(footage), str(tmp_path / "two"), *SMALL, "workers=ray", "workers.address=local"]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_ray_worker_that_dies_costs_one_item():
    ray = pytest.importorskip("ray")
    workers, bad = {"backend": "ray", "address": "local"}, "__import__('os')._exit(1)"
    handler = signal.getsignal(signal.SIGTERM)
    done = dict(map_in_processes(eval, [bad, *map(str, range(8))], workers))
    assert isinstance(done[bad], WorkerDied) and sum(died is None for died in done.values()) == 8
    with pytest.raises(BadInput, match="a: no"):
        list(map_in_processes(refuse, ["a"], workers))
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_without_a_ray_cluster_the_error_says_how_to_start_one(footage, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert main([str(footage), str(tmp_path / "out"), *SMALL, "workers=ray"]) == 1
    assert "ray start --head" in capsys.readouterr().err


def test_without_ray_the_error_names_the_extra(footage, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([str(footage), str(tmp_path / "out"), "workers=ray"]) == 1
    assert "fewshot_heads[ray]" in capsys.readouterr().err
