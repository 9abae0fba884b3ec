"""`python -m benchmarks.speed` in miniature: the tiny preset with random weights, half a second of footage."""

import json
import re
import time
from itertools import chain, pairwise

import numpy as np
import pytest
import torch

from benchmarks import speed, timing
from benchmarks.common import machine
from benchmarks.first_frame import first_frame
from benchmarks.timing import spread, timed
from fewshot_heads import read_video
from fewshot_heads.errors import BadInput
from tests.conftest import EXAMPLES, write_clip

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def result(driver_path, tmp_path_factory):
    """The report and the table of one run."""
    out = tmp_path_factory.mktemp("speed") / "speed.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXAMPLES.parent)
        paths = [f"driver={driver_path}", f"out={out}"]
        quick = ["models=tiny,realtime", "seconds=0.3", "long=0", "repeats=1", "stage_seconds=0", "live=20", "trace=0"]
        speed.main([*paths, *quick, "threads=1", "batches=1,2", "device=cpu"])
    return out.read_text(), out.with_suffix(".md").read_text()


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def test_the_command_writes_every_stage_and_both_models_as_strict_json(result):
    report = json.loads(result[0], parse_constant=refuse)
    (run,) = report["end_to_end"]["cores: 1"]["short"]
    assert run["frames"] == 8 and run["fps"] > 0
    assert run["start"] > 0.3 and report["import_seconds"]["median"] > 0.1, "nobody imports torch in less"
    assert 200 < run["peak_mib"] < 4000
    names = [stage.split(",")[0] for stage in report["models"]["tiny"]["ms"]["cores: 1"]]
    middle = ["embed", "generator", "generator", "lids and mouth", "paste back"]
    assert names == ["decode", "detect landmarks", "retarget", "turn the head", "raster", *middle, "encode"]
    assert list(report["models"]["realtime"]["ms"]["cores: 1"]) == ["generator, batch 1, ms/frame"]
    spans = chain.from_iterable(model["ms"]["cores: 1"].values() for model in report["models"].values())
    assert all(0 < span["low"] <= span["median"] <= span["high"] for span in spans)


def test_the_models_are_counted_and_random_weights_are_called_so(result):
    costs = {name: model["cost"] for name, model in json.loads(result[0])["models"].items()}
    assert costs["realtime"]["gflop"] == pytest.approx(0.80, rel=0.02)
    assert sum(costs["realtime"]["parameters"].values()) == pytest.approx(4.1e6, rel=0.02)
    assert costs["tiny"]["weights"] == {"name": "tiny", "sha256": None}
    assert "| tiny (random weights) | 0.0" in result[1] and "| realtime | 0.80 |" in result[1]


def test_the_table_has_a_row_for_each_stage_and_a_column_for_each_number_of_cores(result):
    big, small = (
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
        for table in result[1].split("A multiply-add")
    )
    stages_asked = {"end to end, frames/s", "decode, ms/frame", "embed, ms/portrait", "encode, ms/frame"}
    assert big[0] == ["", "cores: 1"] and stages_asked <= {row[0] for row in big}
    assert small[0][-2:] == ["embedder, M parameters", "batch 1, cores: 1, ms/frame"], "batch 2 is not compared"
    assert all(cell for row in big[1:] + small[1:] for cell in row)


def test_the_first_frame_of_the_command_comes_before_its_end(driver_path, mona_path, tmp_path):
    start = time.time()
    seconds = first_frame(1, [str(mona_path), str(driver_path), "-o", str(tmp_path / "out.mp4")])
    assert 0.3 < seconds < time.time() - start
    assert read_video(tmp_path / "out.mp4").rate == read_video(driver_path).rate


def test_the_spread_is_median_smallest_and_largest():
    assert spread([4.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 4.0}


class Clock:
    """`time.perf_counter` that goes on by hand."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def goes_on(self, *seconds):
        """A call that takes each of these in turn, then the last one for ever."""
        left = list(seconds)

        def call():
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_milliseconds_are_those_of_a_frame_and_the_warm_up_does_not_count(monkeypatch):
    call = Clock(monkeypatch).goes_on(9.0, 0.2, 0.1, 0.4)  # the first is the warm-up
    assert timed(call, 2, 0) == pytest.approx({"median": 100.0, "low": 50.0, "high": 200.0})


@pytest.mark.parametrize("seconds, calls", [(0, 4), (1.0, 11), (100, 31)])
def test_a_stage_is_repeated_for_its_seconds_after_one_warm_up(monkeypatch, seconds, calls):
    made = []
    call = Clock(monkeypatch).goes_on(0.1001)
    timed(lambda: made.append(call()), 1, seconds)
    assert len(made) == calls


@pytest.mark.parametrize("setting", ["threads=two", "threads=0,1", "threads=", "batches=1.5", "repeats=0", "seconds=0"])
def test_a_bad_setting_is_named_in_one_line(monkeypatch, setting):
    monkeypatch.chdir(EXAMPLES.parent)
    with pytest.raises(BadInput, match=f"^{re.escape(setting)}.*: expected [^\n]*$"):
        speed.main([setting])


def test_a_folder_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(BadInput, match=r"is a folder; name a file, such as [^\n]*report.json$"):
        speed.main([f"out={tmp_path}"])


def test_more_cores_than_there_are_would_be_a_lie(monkeypatch):
    monkeypatch.chdir(EXAMPLES.parent)
    with pytest.raises(BadInput, match=f"use threads={machine()['cores']}$"):
        speed.main(["threads=4096", "device=cpu"])


def test_the_accelerator_has_a_column_beside_the_cores(monkeypatch):
    monkeypatch.setattr(speed, "pick_device", lambda _: torch.device("cuda"))
    both = {"cores: 1": {"cores": 1, "device": "cpu"}, "cuda": {"cores": 0, "device": "auto"}}
    assert speed.columns([1], "auto") == both
    assert list(speed.columns([1], "cuda")) == ["cuda"]


def test_an_error_of_a_run_of_its_own_is_told_as_it_is(monkeypatch):
    monkeypatch.chdir(EXAMPLES.parent)
    with pytest.raises(BadInput, match="^no weights named 'nobody'"):
        speed.job("stage_times", 1, models=["nobody"], source="", driver="", batches=[1], device="cpu", seconds=0)


def test_a_repeated_clip_is_as_long_as_asked_at_the_same_rate(tmp_path):
    write_clip(tmp_path / "clip.mp4", [np.full((64, 64, 3), level * 10, np.uint8) for level in range(20)])
    longer = read_video(speed.repeated(str(tmp_path / "clip.mp4"), 3, tmp_path / "long.mp4"))
    assert longer.duration == pytest.approx(3.0, abs=0.1)
    brightness = [frame.mean() for frame in longer]
    assert sum(b < a - 100 for a, b in pairwise(brightness)) == 3  # begins again three times
