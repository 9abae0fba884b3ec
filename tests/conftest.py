"""Fixtures: the shipped examples, cut short, and a library with the shipped weights."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from fewshot_heads import Reenactor, VideoWriter, read_image, read_video

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def mona_path() -> Path:
    return EXAMPLES / "mona_lisa.jpg"


@pytest.fixture(scope="session")
def mona(mona_path) -> np.ndarray:
    return read_image(mona_path)


@pytest.fixture(scope="session")
def driver_frames() -> list[np.ndarray]:
    """12 frames of the example clip, a sixth of a second apart."""
    return list(islice(read_video(EXAMPLES / "driver.mp4"), 0, 48, 4))


@pytest.fixture(scope="session")
def driver_path(driver_frames, tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("driver") / "driver.mp4", driver_frames)


@pytest.fixture(scope="session")
def reenactor() -> Reenactor:
    return Reenactor.from_pretrained(device="cpu")


def write_clip(path: Path, frames, rate=25) -> Path:
    with VideoWriter(path, rate, mark=None) as out:
        for frame in frames:
            out.add(frame)
    return path


@pytest.fixture
def one_thread():
    """For networks so small that threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
