"""Every kind of output says that it is synthetic, and readers other than ours can see it."""

from __future__ import annotations

import json
import shutil
import subprocess

import av
import numpy as np
import pytest
from PIL import Image

from fewshot_heads.errors import BadInput, OutputError
from fewshot_heads.media.images import write_image
from fewshot_heads.media.provenance import COMPOSITE, SYNTHETIC, Provenance, mark, read_mark
from fewshot_heads.media.verification import verify
from fewshot_heads.media.video_writer import VideoWriter

HASH = "0123456789abcdef" * 4
PICTURES, VIDEOS = ["png", "jpg", "webp"], ["mp4", "webm", "gif"]


def write(path, provenance):
    frame = np.full((64, 64, 3), 90, np.uint8)
    if path.suffix[1:] in PICTURES:
        write_image(path, frame, mark=provenance)
    else:
        with VideoWriter(path, like=25, mark=provenance) as out:
            for _ in range(3):
                out.add(frame)


@pytest.mark.parametrize("kind", PICTURES + VIDEOS)
@pytest.mark.parametrize("composite, term", [(True, COMPOSITE), (False, SYNTHETIC)])
def test_the_mark_reads_back_from_every_kind_of_file(tmp_path, kind, composite, term):
    write(tmp_path / f"out.{kind}", Provenance("real & time", HASH, composite))
    found = read_mark(tmp_path / f"out.{kind}")
    assert found is not None
    assert found["digital_source_type"] == term
    assert found["model"] == "real & time" and found["model_sha256"] == HASH
    assert found["tool"].startswith("fewshot_heads ")
    assert verify(tmp_path / f"out.{kind}")


@pytest.mark.parametrize("kind", PICTURES + VIDEOS)
def test_a_file_without_the_mark_does_not_verify(tmp_path, kind):
    write(tmp_path / f"out.{kind}", None)
    assert read_mark(tmp_path / f"out.{kind}") is None
    assert not verify(tmp_path / f"out.{kind}")


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_ffmpeg_shows_the_mark_as_a_comment(tmp_path, kind):
    write(tmp_path / f"out.{kind}", Provenance("realtime", HASH, True))
    with av.open(str(tmp_path / f"out.{kind}")) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert COMPOSITE in tags["comment"] and HASH in tags["comment"] and "synthetic" in tags["comment"]


@pytest.mark.parametrize("kind", PICTURES)
def test_pillow_finds_the_packet_where_pictures_keep_it(tmp_path, kind):
    write(tmp_path / f"out.{kind}", Provenance("realtime", HASH, False))
    with Image.open(tmp_path / f"out.{kind}") as image:
        image.load()
        packet = image.info["xmp"]
    assert SYNTHETIC in (packet if isinstance(packet, str) else packet.decode())


@pytest.mark.parametrize("kind", VIDEOS)
def test_a_marked_video_still_plays(tmp_path, kind):
    write(tmp_path / f"out.{kind}", Provenance("realtime", HASH, True))
    with av.open(str(tmp_path / f"out.{kind}")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_the_packet_of_an_mp4_is_a_top_level_uuid_box(tmp_path):
    write(tmp_path / "out.mp4", Provenance("realtime", HASH, True))
    data, position, boxes = (tmp_path / "out.mp4").read_bytes(), 0, []
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        boxes.append((data[position + 4 : position + 8], data[position + 8 : position + 24].hex()))
        position += size
    assert position == len(data)
    assert boxes[-1] == (b"uuid", "be7acfcb97a942e89c71999491e3afac")
    assert [name for name, _ in boxes].index(b"moov") < [name for name, _ in boxes].index(b"mdat")


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
@pytest.mark.parametrize("kind", [*PICTURES, "mp4", "gif"])
def test_exiftool_reads_the_iptc_term(tmp_path, kind):
    write(tmp_path / f"out.{kind}", Provenance("realtime", HASH, True))
    told = subprocess.run(
        ["exiftool", "-json", "-G1", tmp_path / f"out.{kind}"], capture_output=True, check=True
    ).stdout
    tags = json.loads(told)[0]
    assert tags["XMP-iptcExt:DigitalSourceType"] == COMPOSITE
    assert tags["XMP-xmp:CreatorTool"].startswith("fewshot_heads")
    assert HASH in tags.values()
    assert "ExifTool:Warning" not in tags and "ExifTool:Error" not in tags


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe is not installed")
@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_ffprobe_shows_the_comment(tmp_path, kind):
    write(tmp_path / f"out.{kind}", Provenance("realtime", HASH, True))
    command = ["ffprobe", "-v", "error", "-show_format", "-of", "json", tmp_path / f"out.{kind}"]
    tags = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["format"]["tags"]
    assert COMPOSITE in {key.lower(): value for key, value in tags.items()}["comment"]


def test_a_statement_of_another_kind_is_read_but_does_not_verify(tmp_path):
    packet = Provenance("realtime", HASH, False).xmp()
    other = packet.replace(b"trainedAlgorithmicMedia", b"digitalCaptureXXXXXXXXX")
    Image.new("RGB", (64, 64)).save(tmp_path / "other.webp", xmp=other)
    found = read_mark(tmp_path / "other.webp")
    assert found is not None and found["digital_source_type"].endswith("digitalCaptureXXXXXXXXX")
    assert not verify(tmp_path / "other.webp")


def test_marking_a_finished_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello, this is a note")
    with pytest.raises(OutputError, match="notes.txt: only a finished mp4, mov or gif"):
        mark(tmp_path / "notes.txt", Provenance("realtime", HASH, True))


def test_reading_the_mark_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(BadInput, match="gone.mp4: no such file"):
        read_mark(tmp_path / "gone.mp4")


def test_a_text_file_has_no_mark(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    assert read_mark(tmp_path / "notes.txt") is None


def test_a_packet_that_would_fill_the_memory_is_no_mark(tmp_path):
    write(tmp_path / "out.png", Provenance("realtime", HASH, True))
    packet = (tmp_path / "out.png").read_bytes()
    (tmp_path / "huge.png").write_bytes(packet.replace(b"</x:xmpmeta>", bytes(2**24) + b"</x:xmpmeta>"))
    assert read_mark(tmp_path / "huge.png") is None


def test_a_video_is_marked_even_when_nobody_names_the_model(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", like=25) as out:
        out.add(np.zeros((64, 64, 3), np.uint8))
    assert verify(tmp_path / "out.mp4")


def test_an_input_that_is_gone_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone.mp4: cannot be read for its hash \(No such file or directory\); keep"):
        Provenance("m", "0", True).made_from([tmp_path / "gone.mp4"])
