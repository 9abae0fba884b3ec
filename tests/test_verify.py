"""`python -m fewshot_heads.verify` tells in plain words whether a file is marked as synthetic, and by which marks."""

import json

import numpy as np
import pytest
from PIL import Image

from fewshot_heads.media.images import write_image
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.verify import main

HASH = "0123456789abcdef" * 4
FRAME = np.full((160, 160, 3), 90, np.uint8)


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
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line[0] != " "] == ["fake.png: synthetic", "head.webm: partly synthetic"]
    assert lines[1].startswith("  metadata: tool fewshot_heads ") and lines[1].endswith(f"model sha256 {HASH}")
    assert lines[2].startswith("  content credentials: ")
    assert lines[7].startswith("  watermark: made with fewshot_heads, hash of the model begins with 012 (score ")


def test_a_file_without_the_mark__has_an_exit_code_of_its_own(capsys):
    assert main(["fake.png", "real.png"]) == 3
    real, metadata, credentials, watermark = capsys.readouterr().out.splitlines()[4:]
    assert (real, metadata) == ("real.png: no mark", "  metadata: no mark")
    assert watermark.startswith("  watermark: none (score ")


def test_json__has_one_object_a_file(capsys):
    assert main(["real.png", "head.webm", "--json"]) == 3
    real, head = map(json.loads, capsys.readouterr().out.splitlines())
    assert (real["file"], real["synthetic"], real["content_credentials"]) == ("real.png", False, None)
    assert real["watermark"]["score"] < real["watermark"]["threshold"] and not real["watermark"]["found"]
    assert head["synthetic"] and head["model_sha256"] == HASH and head["watermark"]["model"] == "012"


def test_what_was_encoded_again__is_told_by_its_pixels(tmp_path, capsys):
    Image.open("fake.png").resize((100, 100)).save("screenshot.jpg", quality=80)
    assert main(["screenshot.jpg"]) == 0
    verdict, metadata, _, watermark = capsys.readouterr().out.splitlines()
    assert verdict == "screenshot.jpg: synthetic, completely or in part"
    assert metadata == "  metadata: no mark" and "made with fewshot_heads" in watermark


def test_a_file_without_pixels__is_told_so(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("a note")
    assert main(["notes.txt"]) == 3
    assert "watermark: not checked (the file holds no picture" in capsys.readouterr().out


def test_a_mark_of_a_real_picture__is_not_synthetic(tmp_path, capsys):
    packet = Provenance("realtime", HASH, False).xmp()
    Image.fromarray(FRAME).save("real.webp", xmp=packet.replace(b"trainedAlgorithmicMedia", b"digitalCaptureXXXXXXXXX"))
    assert main(["real.webp"]) == 3
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
