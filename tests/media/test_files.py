"""Files appear complete or not at all, whichever way they are written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fewshot_heads.errors import BadInput, OutputError
from fewshot_heads.media import files
from fewshot_heads.media.files import atomic_write, atomic_write_in, check_no_input, check_readable_folder, check_target

posix = pytest.mark.skipif(files.fcntl is None, reason="Windows has no such locks")


def write(path, content, overwrite=False):
    with atomic_write(path, (path.suffix,), overwrite) as part:
        part.write_bytes(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_atomic_write_in__replaces_the_target_only_when_complete(tmp_path):
    target, scratch = tmp_path / "out.json", tmp_path / "scratch"
    scratch.mkdir()
    target.write_bytes(b"old")
    with atomic_write_in(target, scratch) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new" and not list(scratch.iterdir())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_atomic_write_in__keeps_the_target_after_an_interruption(tmp_path, stop):
    (tmp_path / "out.json").write_bytes(b"precious")
    with pytest.raises(stop), atomic_write_in(tmp_path / "out.json", tmp_path) as file:
        file.write(b"half")
        raise stop
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert (tmp_path / "out.json").read_bytes() == b"precious"


def test_atomic_write_in__names_what_the_system_refuses(tmp_path):
    target = tmp_path / "out.json"
    with pytest.raises(OutputError, match=r"out\.json: the disk is full"), atomic_write_in(target, tmp_path):
        raise OSError(28, "No space left on device")
    refused = pytest.raises(OutputError, match=r"out\.json: cannot be written")
    with refused, atomic_write_in(target, tmp_path / "absent"):
        pass
    assert not list(tmp_path.iterdir())


def test_atomic_write__lets_errors_of_the_block_pass(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "out.png", (".png",), False) as part:
        assert part.exists() and part.suffix == ".png" and part.parent == tmp_path
        raise FileNotFoundError("the driver has gone")
    assert not list(tmp_path.iterdir())


def test_atomic_write__keeps_a_file_that_appears_inside_the_block(tmp_path):
    target = tmp_path / "out.png"
    with pytest.raises(OutputError, match=r"out\.png: exists already"), atomic_write(target, (".png",), False) as part:
        part.write_bytes(b"mine")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs" and names(tmp_path) == ["out.png"]


def test_atomic_write__lets_the_first_of_two_writers_win(tmp_path):
    target = tmp_path / "out.png"
    with pytest.raises(OutputError, match="exists already"), atomic_write(target, (".png",), False) as slow:
        slow.write_bytes(b"slow")
        write(target, b"fast")
    assert target.read_bytes() == b"fast" and names(tmp_path) == ["out.png"]


def test_atomic_write__gives_the_last_of_two_writers_the_name_where_both_may_overwrite(tmp_path):
    target = tmp_path / "out.png"
    with atomic_write(target, (".png",), True) as slow:
        slow.write_bytes(b"slow and whole")
        write(target, b"fast", overwrite=True)
        assert target.read_bytes() == b"fast"
    assert target.read_bytes() == b"slow and whole" and names(tmp_path) == ["out.png"]


def test_atomic_write__never_opens_a_planted_link(tmp_path, monkeypatch):
    (tmp_path / "precious").write_bytes(b"precious")
    tokens = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: next(tokens))
    planted = tmp_path / f".out.{'0' * 16}.part.png"
    planted.symlink_to(tmp_path / "precious")
    monkeypatch.setattr(files, "_sweep", lambda *_: None)
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "out.png", b"picture")
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_atomic_write__names_each_part_file_differently(tmp_path):
    target = tmp_path / "out.png"
    with atomic_write(target, (".png",), True) as first, atomic_write(target, (".png",), True) as second:
        assert first != second


def test_atomic_write__works_without_hard_links(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    write(tmp_path / "out.png", b"new")
    assert (tmp_path / "out.png").read_bytes() == b"new" and names(tmp_path) == ["out.png"]
    with pytest.raises(OutputError, match="exists already"), atomic_write(tmp_path / "b.png", (".png",), False):
        (tmp_path / "b.png").write_bytes(b"theirs")
    assert (tmp_path / "b.png").read_bytes() == b"theirs"


def test_atomic_write__takes_every_name_that_the_system_takes(tmp_path):
    longest = "n" * 251 + ".png"
    write(tmp_path / longest, b"picture")
    write(tmp_path / ("照" * 83 + ".png"), b"picture")
    assert longest in names(tmp_path)
    with pytest.raises(OutputError, match="File name too long"):
        check_target(tmp_path / ("n" + longest), (".png",), False)


@posix
def test_atomic_write__sweeps_what_a_killed_writer_left_and_nothing_else(tmp_path):
    code = (
        "import sys; from pathlib import Path; from fewshot_heads.media.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1]), ('.png',), False): print('ready', flush=True); sys.stdin.read()"
    )
    target, mine = tmp_path / "out.png", tmp_path / ".out.my notes.part.png"
    mine.touch()
    command = [sys.executable, "-c", code, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"ready\n"
        left = [path for path in tmp_path.iterdir() if path != mine]
        write(target, b"first")
        assert left[0].exists()  # its writer is alive
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        write(target, b"second", overwrite=True)
    assert names(tmp_path) == [mine.name, "out.png"]


def test_check_readable_folder__names_what_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").touch()
    check_readable_folder(tmp_path)
    for locked in (tmp_path / "folder", tmp_path / "folder" / "a.png"):
        monkeypatch.setattr(os, "access", lambda path, mode, locked=locked: path != locked)
        with pytest.raises(BadInput, match=f"{locked}: may not be read; change its permissions"):
            check_readable_folder(tmp_path / "folder")


def test_check_target__sees_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "out.png").symlink_to(tmp_path / "absent")
    with pytest.raises(OutputError, match="exists already"):
        check_target(tmp_path / "out.png", (".png",), False)


@pytest.mark.parametrize("name", ["again.png", "frames/2.png", "linked.png"])
def test_check_no_input__knows_an_input_under_every_name(tmp_path, name):
    (tmp_path / "frames").mkdir()
    for file in ("photo.png", "frames/1.png", "frames/2.png"):
        (tmp_path / file).write_bytes(b"precious")
    os.link(tmp_path / "photo.png", tmp_path / "again.png")
    (tmp_path / "linked.png").symlink_to("photo.png")
    inputs = [tmp_path / "absent.png", tmp_path / "frames", tmp_path / "photo.png"]
    check_no_input(tmp_path / "out.png", inputs)
    check_no_input(tmp_path / "frames" / "3.png", inputs)
    with pytest.raises(OutputError, match=f"{name}: is also an input"):
        check_no_input(tmp_path / name, inputs)
