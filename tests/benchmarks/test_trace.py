"""`benchmarks.trace`: stages and functions from sampled stacks."""

import re
import time

import pytest

from benchmarks import speed, trace
from fewshot_heads.errors import BadInput
from tests.conftest import EXAMPLES

RENDER = "HeadRenderer.composite (fewshot_heads/rendering/renderer.py:120)"
BLEND = "HeadViews.blend (fewshot_heads/rendering/head_views.py:90)"
SPLAT = "splat (fewshot_heads/imaging/splatting.py:57)"
WAIT = "Future.result (concurrent/futures/_base.py:451);Condition.wait (threading.py:327)"


def samples(*stacks):
    return trace.sampled(f"{stack} 3" for stack in stacks)


def test_a_stack_belongs_to_its_stage_and_to_the_innermost_function_of_the_package():
    result = samples(f"{RENDER};{BLEND};{SPLAT};where (torch/functional.py:9)", f"{RENDER};{BLEND}", RENDER)
    assert result.stages == {"turn the head": 6, "other rendering": 3}
    assert result.functions["imaging/splatting.py:splat"] == 3
    assert result.functions["rendering/head_views.py:blend"] == 3


def test_names_without_classes_are_read_too():
    assert samples("blend (fewshot_heads/rendering/head_views.py:90)").stages == {"turn the head": 3}


def test_what_does_not_render_has_a_stage_but_no_function():
    result = samples("VideoEncoder.add (fewshot_heads/media/encoding.py:124)")
    assert result.stages == {"encode": 3} and not result.functions


def test_waiting_for_threads_of_the_library_and_loading_do_not_count():
    loading = "load (benchmarks/main_job.py:50);choose (fewshot_heads/models/fast_generator.py:85)"
    importing = f"{RENDER};_load (<frozen importlib._bootstrap>:690);<module> (fewshot_heads/media/audio.py:3)"
    waiting = f"in_parallel (fewshot_heads/rendering/parallel.py:36);{WAIT}"
    assert samples(loading, importing, waiting, f"_worker (concurrent/futures/thread.py:81);{WAIT}") == ({}, {})


def test_a_forked_process_that_waits_for_work_does_not_count():
    forked = "in_parallel (fewshot_heads/rendering/parallel.py:51);Popen._launch (multiprocessing/popen_fork.py:71)"
    forked += ";_process_worker (concurrent/futures/process.py:240)"
    assert samples(f"{forked};Connection._recv (multiprocessing/connection.py:395)") == ({}, {})
    assert samples(f"{forked};_call (fewshot_heads/imaging/forks.py:120);{BLEND}").stages == {"turn the head": 3}


def test_waiting_for_threads_of_another_library_is_its_work():
    detect = f"detect (fewshot_heads/landmarks/mediapipe.py:166);infer (openvino/_ov_api.py:202);{WAIT}"
    assert samples(detect).stages == {"detect landmarks": 3}


def test_every_stage_names_places_that_exist():
    package = EXAMPLES.parent / "fewshot_heads"
    for places in trace.STAGES.values():
        for place in places:
            module, _, function = place.partition(":")
            assert (package / module).exists()
            assert not function or f"def {function}(" in (package / module).read_text()


def test_the_tables_have_milliseconds_shares_and_ten_functions():
    functions = {f"rendering/m.py:f{i}": 12.0 - i for i in range(12)}
    text = trace.markdown({"cores: 1": {"stages": {"U-Net": 30.0, "encode": 10.0}, "functions": functions}})
    assert "| U-Net | 30.0 (75 %) |" in text and "| together | 40.0 |" in text
    assert re.findall(r"m\.py:f(\d+)", text) == [str(i) for i in range(10)]


def test_a_profiler_that_is_not_installed_is_named_before_anything_is_measured(monkeypatch):
    monkeypatch.chdir(EXAMPLES.parent)
    monkeypatch.setattr(trace, "_py_spy", lambda: None)
    with pytest.raises(BadInput, match="^py-spy is not installed: pip install py-spy, or [^\n]*trace=0$"):
        speed.main([])


@pytest.mark.skipif(trace._py_spy() is None, reason="needs py-spy")
def test_a_real_run_is_traced(driver_path, tmp_path, monkeypatch):
    monkeypatch.chdir(EXAMPLES.parent)
    files = {"source": str(EXAMPLES / "mona_lisa.jpg"), "driver": str(driver_path), "out": str(tmp_path / "out.mp4")}
    found = trace.traced(100, 1, model="realtime", device="cpu", launched=time.time(), **files)
    assert {"portrait", "detect landmarks", "turn the head", "U-Net"} <= found["stages"].keys() <= trace.STAGES.keys()
    assert sum(found["functions"].values()) <= sum(found["stages"].values())
