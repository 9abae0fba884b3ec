"""Folders that appear complete or not at all."""

import pytest

from fewshot_heads.errors import OutputError
from fewshot_heads.media.folders import atomic_folder


def write(path, text, overwrite=False):
    with atomic_folder(path, "mark", overwrite) as folder:
        (folder / "mark").write_text(text)


def test_a_new_folder_appears_whole(tmp_path):
    write(tmp_path / "new", "1")
    assert (tmp_path / "new" / "mark").read_text() == "1" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_of_this_kind_is_replaced_where_allowed(tmp_path):
    write(tmp_path / "new", "1")
    with pytest.raises(OutputError, match="exists already"):
        write(tmp_path / "new", "2")
    assert (tmp_path / "new" / "mark").read_text() == "1"
    write(tmp_path / "new", "2", overwrite=True)
    assert (tmp_path / "new" / "mark").read_text() == "2" and len(list(tmp_path.iterdir())) == 1


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path):
    write(tmp_path / "new", "1")
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "new", "mark", True) as folder:
        (folder / "mark").write_text("2")
        raise KeyboardInterrupt
    assert (tmp_path / "new" / "mark").read_text() == "1" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path):
    with pytest.raises(OutputError, match="holds other files"), atomic_folder(tmp_path / "new", "mark", True):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "letter").write_text("mine")
    assert (tmp_path / "new" / "letter").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "new").mkdir()
    write(tmp_path / "new", "1")
    assert (tmp_path / "new" / "mark").exists()


def test_a_full_disk_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="the disk is full"), atomic_folder(tmp_path / "new", "mark", False):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())
