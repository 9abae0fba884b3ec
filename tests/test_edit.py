"""The command that edits a face."""

import numpy as np
import pytest

from fewshot_heads import animate, edit, fine_tune, read_image, read_video
from fewshot_heads.creative import sample
from fewshot_heads.driving.motion import Motion
from fewshot_heads.media.provenance import read_mark


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_picture_with_its_mark(mona_path, mona, reenactor):
    assert edit.main([str(mona_path), "smile=.6", "--yaw", "-15", "--blink=1"]) == 0
    edited = read_image("mona_lisa_edited.png")
    assert edited.shape == mona.shape and np.abs(edited.astype(int) - mona).max() > 40
    mark = read_mark("mona_lisa_edited.png")
    assert mark["digital_source_type"].endswith("compositeWithTrainedAlgorithmicMedia")
    assert mark["model_sha256"] == reenactor.weights.sha256


def test_a_loop(mona_path, mona):
    assert edit.main([str(mona_path), "-o", "loop.gif", "--animate", "smile=1", "seconds=0.3", "rate=10"]) == 0
    frames = list(read_video("loop.gif"))
    assert len(frames) == 3 and frames[0].shape == mona.shape


def test_a_pose_and_a_loop_as_drivers(mona_path, mona):
    assert edit.main([str(mona_path), "-o", "pose.safetensors", "smile=1"]) == 0
    assert edit.main([str(mona_path), "-o", "loop.safetensors", "--animate", "smile=1", "seconds=.5", "rate=8"]) == 0
    pose, loop = (Motion.load(f"{name}.safetensors") for name in ("pose", "loop"))
    assert (len(pose), len(loop), loop.rate) == (2, 4, 8) and pose.frame_size == mona.shape[:2]
    assert animate.main([str(mona_path), "loop.safetensors", "-o", "out.mp4"]) == 0
    first, _, smiling, _ = read_video("out.mp4")
    assert np.abs(first.astype(int) - smiling).mean() > 0.3


@pytest.mark.parametrize("command", [edit, fine_tune, sample])
@pytest.mark.parametrize("key", ["model=w.safetensors", "inpainters=[mouth,w.safetensors]", "model=."])
def test_weights_in_use_are_no_output(mona_path, tmp_path, capsys, command, key):
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    inputs = [] if command is sample else [str(mona_path)]
    assert command.main([*inputs, key, "-o", "w.safetensors", "--overwrite"]) == 1
    assert capsys.readouterr().err == "error: w.safetensors: is also an input; choose another output\n"
    assert (tmp_path / "w.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["smiel=1"], 2, "did you mean 'smile'"),
        (["smile=2"], 2, "from 0 to 1"),
        (["blink=-1"], 2, "from 0 to 1"),
        (["yaw=90"], 2, "from -30 to 30"),
        (["-o", "out.mp4"], 1, "unknown kind of file"),
        (["--animate", "-o", "out.png"], 1, "unknown kind of file"),
    ],
)
def test_a_wrong_option_is_one_line_and_leaves_nothing(mona_path, tmp_path, capsys, arguments, code, told):
    assert edit.main([str(mona_path), *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line and not list(tmp_path.iterdir())
