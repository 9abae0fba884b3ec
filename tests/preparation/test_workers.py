"""`preparation.workers`: local processes, and a stand-in for Ray."""

import sys
import types

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


class RayStandIn(types.ModuleType):
    """As much of Ray as is used, in this process."""

    class exceptions:  # noqa: N801
        class RayError(Exception):
            pass

    def __init__(self):
        super().__init__("ray")
        self.up, self.most = False, 0
        self.results: dict[int, object] = {}

    def is_initialized(self):
        return self.up

    def init(self, address, **_):
        if address == "auto":
            raise ConnectionError
        self.up = True

    def shutdown(self):
        self.up = False

    def cluster_resources(self):
        return {"CPU": 1.0}

    def remote(self, function):
        def start(work, item):
            self.results[len(self.results)] = (function, work, item)
            return len(self.results) - 1

        return types.SimpleNamespace(remote=start)

    def wait(self, references):
        self.most = max(self.most, len(references))
        return references[:1], references[1:]

    def get(self, reference):
        function, work, item = self.results[reference]
        if item == "bad":
            raise self.exceptions.RayError
        return function(work, item)

    def cancel(self, reference, force):
        pass


def test_ray_writes_the_same_bytes(footage, tmp_path, monkeypatch, capsys):
    prepare(footage, tmp_path / "one")
    monkeypatch.setitem(sys.modules, "ray", RayStandIn())
    arguments = [str(footage), str(tmp_path / "two"), *SMALL, "workers=ray"]
    assert main(arguments) == 1 and "ray start --head" in capsys.readouterr().err
    assert main([*arguments, "workers.address=local"]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_ray_holds_few_at_once_and_survives_a_worker(monkeypatch):
    ray = RayStandIn()
    monkeypatch.setitem(sys.modules, "ray", ray)
    workers = {"backend": "ray", "address": "local"}
    done = dict(map_in_processes(len, ["good", "bad", *"abcdef"], workers))
    assert isinstance(done["bad"], WorkerDied) and sum(died is None for died in done.values()) == 7
    assert ray.most == 2 and not ray.up
    with pytest.raises(BadInput, match="a: no"):
        list(map_in_processes(refuse, ["a"], workers))
    assert not ray.up


def test_without_ray_the_error_names_the_extra(footage, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([str(footage), str(tmp_path / "out"), "workers=ray"]) == 1
    assert "fewshot_heads[ray]" in capsys.readouterr().err
