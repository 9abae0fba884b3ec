"""The command `live`, with a file as camera."""

import subprocess
import sys

import numpy as np
import pytest

from fewshot_heads import read_image, read_video
from fewshot_heads.live import main
from fewshot_heads.media.provenance import COMPOSITE, read_mark
from tests.conftest import write_clip


@pytest.fixture
def camera(tmp_path, driver_frames):
    return str(write_clip(tmp_path / "camera.mp4", driver_frames[:8], rate=5))


def told(capsys, *arguments, code=1):
    assert main([*map(str, arguments)]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def test_a_portrait_moves_like_the_driver_of_a_file_at_its_pace(camera, mona_path, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    options = ["rate=10", "backend=torch", "threads=1"]
    assert main([str(mona_path), "--input", camera, "-o", str(out), *options]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(out)
    assert "frames/s, latency" in printed.err
    frames = np.stack(list(read_video(out))).astype(int)
    assert frames.shape[1:] == (*read_image(mona_path).shape[:2], 3)
    assert 10 <= len(frames) <= 16  # 1.4 s between the first and the last
    assert np.abs(frames - frames[0]).max(-1).max(0).mean() > 2  # she moves
    assert read_mark(out)["digital_source_type"] == COMPOSITE


def test_wrong_inputs_are_told_before_anything_is_loaded(camera, mona_path, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"kept")
    assert "out.mp4" in told(capsys, mona_path, "--input", camera, "-o", out)
    assert out.read_bytes() == b"kept"
    assert "unknown kind" in told(capsys, mona_path, "--input", camera, "-o", tmp_path / "out.txt")
    assert "no such" in told(capsys, mona_path, "--input", tmp_path / "no.mp4", "-o", "mjpeg:0")
    assert "camera 99" in told(capsys, mona_path, "--camera", 99, "-o", "mjpeg:0")
    assert "pose=3" in told(capsys, mona_path, "pose=3", code=2)
    assert "at least one portrait" in told(capsys, "pose=1", code=2)
    with pytest.raises(SystemExit) as ended:
        main([str(mona_path), "--camera", "0", "--input", camera])
    assert ended.value.code == 2


def test_the_help_names_keys_and_outputs():
    done = subprocess.run([sys.executable, "-m", "fewshot_heads.live", "--help"], capture_output=True, text=True)
    assert all(word in done.stdout for word in ("mjpeg:PORT", "virtual", "--camera", "q quit", "smoothing=1.0"))
