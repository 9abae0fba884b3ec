"""Fixtures: the shipped examples, cut short, and a library with the shipped weights."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from fewshot_heads import Reenactor, VideoWriter, read_image, read_video
from fewshot_heads.imaging.threads import set_thread_count, thread_count

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores, also with the commands that they start
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
EXAMPLES = Path(__file__).parent.parent / "examples"


def pytest_addoption(parser):
    parser.addoption("--cases", type=int, default=200, help="number of drawn hostile cases, see tests/hostile")
    parser.addoption("--seed", type=int, default=0, help="seed of the drawn hostile cases")


@pytest.fixture(scope="session", autouse=True)
def settings_folder(tmp_path_factory):
    """The key that signs Content Credentials is made in a folder of the tests, not in that of the user."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CONFIG_HOME", "APPDATA"):
            patch.setenv(variable, str(tmp_path_factory.mktemp("settings")))
        yield


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
    return Reenactor.from_pretrained(device="cpu", backend="torch")


def write_clip(path: Path, frames, rate=25) -> Path:
    with VideoWriter(path, rate, mark=None) as out:
        for frame in frames:
            out.add(frame)
    return path


def threads(count):
    """Gives the library and torch a number of threads for the time of a fixture."""
    before = thread_count()
    set_thread_count(count)
    yield
    set_thread_count(before)


@pytest.fixture
def one_thread():
    """For networks so small that threads only wait for each other."""
    yield from threads(1)


@pytest.fixture
def faceres_file(tmp_path):
    """A face network of random weights, in the layout of faceres."""
    random, channels = np.random.default_rng(0), 32
    arrays = {"conv1.weight": random.normal(0, 0.02, (32, 3, 3, 3)), "conv1.bias": random.normal(0, 0.1, 32)}
    for i, out in enumerate((64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024), 1):
        arrays[f"conv_dw_{i}.weight"] = random.normal(0, 0.4, (channels, 1, 3, 3))
        arrays[f"conv_dw_{i}.scale"] = random.uniform(0.5, 1.5, channels)
        arrays[f"conv_dw_{i}.bias"] = random.normal(0, 0.1, channels)
        arrays[f"conv_pw_{i}.weight"] = random.normal(0, (2 / channels) ** 0.5, (out, channels, 1, 1))
        arrays[f"conv_pw_{i}.bias"] = random.normal(0, 0.1, out)
        channels = out
    np.savez(tmp_path / "faceres.npz", **{name: array.astype(np.float16) for name, array in arrays.items()})
    return tmp_path / "faceres.npz"
