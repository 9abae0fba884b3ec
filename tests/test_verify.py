"""`python -m fewshot_heads.verify` tells in one line a file whether the file is marked as synthetic."""

import json

import numpy as np
import pytest

from fewshot_heads.media.images import write_image
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.verify import main

HASH = "0123456789abcdef" * 4
FRAME = np.full((64, 64, 3), 90, np.uint8)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """real.png has no mark, fake.png is synthetic, head.webm partly."""
    monkeypatch.chdir(tmp_path)
    write_image("real.png", FRAME)
    write_image("fake.png", FRAME, Provenance("realtime", HASH, composite=False))
    with VideoWriter("head.webm", 25, mark=Provenance("realtime", HASH, composite=True)) as out:
        out.add(FRAME)


def test_marked_files__are_told_in_plain_words(capsys):
    assert main(["fake.png", "head.webm"]) == 0
    picture, video = capsys.readouterr().out.splitlines()
    assert picture.startswith("fake.png: synthetic: tool fewshot_heads ") and f"model sha256 {HASH}" in picture
    assert video.startswith("head.webm: partly synthetic: ") and "model realtime" in video


def test_a_file_without_the_mark__has_an_exit_code_of_its_own(capsys):
    assert main(["fake.png", "real.png"]) == 3
    assert capsys.readouterr().out.splitlines()[1] == "real.png: no mark"


def test_json__has_one_object_a_file(capsys):
    assert main(["real.png", "head.webm", "--json"]) == 3
    real, head = map(json.loads, capsys.readouterr().out.splitlines())
    assert real == {"file": "real.png", "synthetic": False}
    assert head["synthetic"] and head["model_sha256"] == HASH


def test_a_mark_of_a_real_picture__is_not_synthetic(tmp_path, capsys):
    data = (tmp_path / "fake.png").read_bytes().replace(b"trainedAlgorithmicMedia", b"digitalCaptureXXXXXXXXX")
    (tmp_path / "real.png").write_bytes(data)
    assert main(["real.png"]) == 3
    assert "digitalCaptureXXXXXXXXX, which is not synthetic" in capsys.readouterr().out


def test_control_characters_of_a_mark__never_reach_the_terminal(tmp_path, capsys):
    data = (tmp_path / "head.webm").read_bytes()
    (tmp_path / "head.webm").write_bytes(data.replace(b"realtime", b"real\x1b[2J"))
    assert main(["head.webm"]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gone.png", "empty.png", "."])
def test_what_is_no_file__is_one_line(tmp_path, capsys, name):
    (tmp_path / "empty.png").touch()
    assert main(["fake.png", name]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"error: {name}: ") and printed.err.count("\n") == 1
