"""Files appear complete or not at all, whichever way they are written."""

from __future__ import annotations

import pytest

from fewshot_heads.errors import OutputError
from fewshot_heads.media.files import atomic_write, atomic_write_in


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
