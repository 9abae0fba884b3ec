"""Every example runs, on the shipped files, cut short."""

import runpy
from pathlib import Path

import pytest

from fewshot_heads import Head, read_image, read_video
from fewshot_heads.media.verification import verify
from tests.conftest import EXAMPLES, write_clip


def example(name):
    return runpy.run_path(str(EXAMPLES / name))["main"]


@pytest.fixture
def long_clip(driver_frames, tmp_path) -> Path:
    """Frames 0, 40, 80 ... of it differ, as in the whole clip."""
    return write_clip(tmp_path / "clip.mp4", [frame for frame in driver_frames[::3] for _ in range(40)])


def test_animate_portrait(mona_path, driver_path, mona, driver_frames, tmp_path):
    example("animate_portrait.py")(mona_path, driver_path, tmp_path / "out.mp4")
    frames = list(read_video(tmp_path / "out.mp4"))
    assert len(frames) == len(driver_frames) and frames[0].shape == mona.shape
    assert verify(tmp_path / "out.mp4")


def test_several_pictures(long_clip, tmp_path):
    example("several_pictures.py")(long_clip, tmp_path / "head.safetensors")
    assert len(Head.load(tmp_path / "head.safetensors").landmarks) == 4
    assert verify(tmp_path / "head.mp4")


def test_motion_dials(mona_path, driver_path, tmp_path):
    example("motion_dials.py")(mona_path, driver_path, tmp_path / "dials.png", stop=4)
    assert read_image(tmp_path / "dials.png").shape == (3 * 320, 3 * 320, 3)
    assert verify(tmp_path / "dials.png")


def test_ones_own_head(mona_path, tmp_path):
    example("ones_own_head.py")(mona_path, tmp_path / "mona.safetensors", steps=2)
    assert Head.load(tmp_path / "mona.safetensors").tuned
    assert read_image(tmp_path / "mona.png").shape == (3 * 256, 5 * 256, 3)
    assert verify(tmp_path / "mona.png")


def test_every_example_has_a_test():
    tested = Path(__file__).read_text() + (Path(__file__).parent / "test_export.py").read_text()
    assert all(f"test_{path.stem}(" in tested for path in EXAMPLES.glob("*.py"))
