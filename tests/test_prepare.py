"""`python -m fewshot_heads.prepare` from footage to shards, end to end."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fewshot_heads.datasets.shards import open_shards
from fewshot_heads.prepare import main
from tests.preparation.conftest import RATE, SMALL, contents, fails, laid_out, prepare, write_example, write_portrait


@pytest.fixture(scope="module")
def portrait(mona, tmp_path_factory) -> Path:
    return write_portrait(tmp_path_factory.mktemp("portrait") / "portrait.mp4", mona)


@pytest.fixture
def footage(driver_frames, portrait, tmp_path) -> Path:
    """Two people in a folder each."""
    clip = write_example(tmp_path / "clip.mp4", driver_frames)
    return laid_out(tmp_path / "in", {"ann/a.mp4": clip, "ben/b.mp4": portrait})


def test_the_main_job(footage, tmp_path, capsys):
    out = tmp_path / "out"
    assert prepare(footage, out) == 0
    printed = capsys.readouterr()
    assert printed.out.strip().splitlines()[-1] == str(out) and "%" not in printed.err
    names = ["contact_sheet.png", "index.jsonl", "prepare.json", "rejected.jsonl", "train-000000.tar", "val-000000.tar"]
    assert sorted(path.name for path in out.iterdir()) == names
    (train,), (val,) = open_shards(out), open_shards(out, "val")
    assert {train.identity, val.identity} == {"ann", "ben"}
    for clip in (train, val):
        assert clip.frames.shape == (8, 96, 96, 3) and clip.kind == "video"
        assert clip.seconds == pytest.approx(8 / RATE, 0.01)
        assert clip.landmarks.shape == (8, 70 + 151, 3) and np.isfinite(clip.landmarks).all()
        points = clip.landmarks[..., :2]
        assert points.min() > 0 and points.max() < 96
    summary = json.loads((out / "prepare.json").read_text())
    assert summary["clips"] == {"train": 1, "val": 1} and summary["rejects"] == {} and summary["settings"]["size"] == 96


def test_landmarks_lie_on_the_stored_faces(footage, tmp_path):
    from fewshot_heads.landmarks import detector

    prepare(footage, tmp_path / "out", "size=256")
    finder = detector("mediapipe")
    for split in ("train", "val"):
        for clip in open_shards(tmp_path / "out", split):
            detected = finder.detect(clip.frames[4])[0].to_array()
            assert np.abs((detected - clip.landmarks[4])[:, :2]).mean() < 2.5


def test_a_run_that_was_killed_goes_on_with_two_processes_to_the_same_bytes(footage, portrait, tmp_path):
    laid_out(footage, {"cara/c.mp4": portrait})
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert prepare(footage, unbroken) == 0
    command = [sys.executable, "-m", "fewshot_heads.prepare", str(footage), str(broken), *SMALL, "workers.processes=0"]
    killed = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
    while not list((broken / ".parts").glob("????????????????.json")) and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (broken / "index.jsonl").exists()
    assert prepare(footage, broken, processes=2) == 0
    assert contents(broken) == contents(unbroken)


def test_usage_errors(footage, tmp_path, capsys):
    assert main([str(footage)]) == 2
    assert "max_seconds" in fails(capsys, footage, tmp_path, "min_seconds=1", code=2)
    assert "did you mean 'min_face'" in fails(capsys, footage, tmp_path, "min_fase=1", code=2)
    assert "face_network=FILE" in fails(capsys, footage, tmp_path, "identity=cluster", code=2)
    assert "out" in fails(capsys, footage, Path("/proc/out"))


def test_a_network_that_is_none_is_told_before_the_folder_is_begun(footage, tmp_path, capsys):
    assert "weights.pt: no such file" in fails(capsys, footage, tmp_path / "out", "face_network=weights.pt")
    assert not (tmp_path / "out").exists()
