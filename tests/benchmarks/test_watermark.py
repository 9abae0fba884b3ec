"""The benchmark of the watermark marks every second file, treats each and counts what is found."""

import json

import cv2
import numpy as np
import pytest

from benchmarks import watermark
from benchmarks.treatments import TREATMENTS
from benchmarks.watermark import main
from fewshot_heads import BadInput
from tests.conftest import write_clip


@pytest.fixture
def clips(tmp_path, driver_frames):
    frames = [cv2.resize(frame, (384, 256)) for frame in driver_frames[:3]]
    for i in range(2):
        write_clip(tmp_path / f"{i}.mp4", [np.roll(frame, 30 * i, 1) for frame in frames])
    return tmp_path


def test_benchmark__counts_finds_and_false_alarms(clips, monkeypatch, capsys):
    kept = ("none", "H.264, crf 28", "a tenth off the left", "rotated by 2 degrees")
    monkeypatch.setattr(watermark, "COUNTS", {"clips": (1, 1)})
    monkeypatch.setattr(watermark, "TREATMENTS", {name: TREATMENTS[name] for name in kept})
    monkeypatch.setattr(watermark, "_cost", lambda: {"256x256": 1.0})
    main([f"clips={clips}", f"out={clips / 'report.json'}"])
    report = json.loads((clips / "report.json").read_text())
    assert all(report["scores"][name]["marked"][0] > 8 for name in kept[:3])
    assert all(report["scores"][name]["clean"][0] < 7 for name in kept)
    assert {len(names) for names in report["scores"]["files"].values()} == {1}
    assert min(report["psnr"].values()) > 42
    assert str(clips) not in json.dumps(report)
    assert "| none | 1 of 1 | 0 of 0 |" in capsys.readouterr().out


def test_benchmark__needs_enough_files(clips):
    with pytest.raises(BadInput, match="got 2 files, expected 64 or more"):
        main([f"clips={clips}"])
    with pytest.raises(BadInput, match="clips=: give a path that exists"):
        main([])


@pytest.mark.parametrize("name", TREATMENTS)
def test_treatments__change_what_they_say(name, driver_frames):
    frames = [cv2.resize(frame, (128, 96)) for frame in driver_frames[:2]]
    treated = TREATMENTS[name](frames)
    assert treated and all(frame.dtype == np.uint8 and frame.shape == treated[0].shape for frame in treated)
    same = treated[0].shape == frames[0].shape and (treated[0] == frames[0]).all()
    assert same == (name == "none")
