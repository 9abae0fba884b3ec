"""Footage of two people, and `python -m fewshot_heads.prepare` on it, in small."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fewshot_heads.prepare import main
from tests.conftest import write_clip

RATE = 12
SMALL = ["size=96", "min_seconds=0.4", "max_seconds=1", "min_face=50", "min_sharpness=50"]
PIPELINE = "fewshot_heads.preparation.pipeline"


@pytest.fixture(scope="module")
def clip(driver_frames, tmp_path_factory) -> Path:
    return write_example(tmp_path_factory.mktemp("clip") / "clip.mp4", driver_frames)


@pytest.fixture(scope="module")
def portrait(mona, tmp_path_factory) -> Path:
    return write_portrait(tmp_path_factory.mktemp("portrait") / "portrait.mp4", mona)


@pytest.fixture
def footage(clip, portrait, tmp_path) -> Path:
    """Two people in a folder each."""
    return laid_out(tmp_path / "in", {"ann/a.mp4": clip, "ben/b.mp4": portrait})


def write_example(path: Path, driver_frames) -> Path:
    """Eight frames of the example clip, two thirds of a second."""
    return write_clip(path, driver_frames[:8], RATE)


def write_portrait(path: Path, mona) -> Path:
    """Mona Lisa moving her head a little to the side."""
    return write_clip(path, [even(mona[:, 2 * i : 2 * i + 296]) for i in range(8)], RATE)


def laid_out(root: Path, files: dict[str, Path]) -> Path:
    for name, path in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / name)
    return root


def even(image):
    """The image without a last odd row or column, which H.264 cannot store."""
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])


def prepare(root, out, *overrides, processes=0) -> int:
    return main([str(root), str(out), *SMALL, f"workers.processes={processes}", *overrides])


def fails(capsys, *arguments, code=1) -> str:
    """The one line on stderr of a run that must fail."""
    assert prepare(*arguments) == code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


def interrupt(*_):
    raise KeyboardInterrupt


def rows(out, name="index.jsonl"):
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def rejects(out):
    return {(row["source"], row["reason"]) for row in rows(out, "rejected.jsonl")}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
