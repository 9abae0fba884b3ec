"""Folders that appear complete or not at all."""

import pytest

from fewshot_heads.errors import OutputError
from fewshot_heads.media.folders import atomic_folder


def marked(folder):
    """A folder of this kind wrote one file."""
    return ["mark"]


def write(path, text, overwrite=False):
    with atomic_folder(path, marked, overwrite) as folder:
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
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "new", marked, True) as folder:
        (folder / "mark").write_text("2")
        raise KeyboardInterrupt
    assert (tmp_path / "new" / "mark").read_text() == "1" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("other", ["mine.jpg", "below/mine.jpg", "below/mark"])
def test_a_folder_of_this_kind_with_a_file_of_the_user_is_kept(tmp_path, other):
    write(tmp_path / "new", "1")
    (tmp_path / "new" / other).parent.mkdir(exist_ok=True)
    (tmp_path / "new" / other).write_text("mine")
    with pytest.raises(OutputError, match=f"new: holds other files, such as {other}; choose a new folder"):
        write(tmp_path / "new", "2", overwrite=True)
    assert (tmp_path / "new" / other).read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path):
    with pytest.raises(OutputError, match="holds other files"), atomic_folder(tmp_path / "new", marked, True):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "letter").write_text("mine")
    assert (tmp_path / "new" / "letter").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "new").mkdir()
    write(tmp_path / "new", "1")
    assert (tmp_path / "new" / "mark").exists()


def test_a_full_disk_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="the disk is full"), atomic_folder(tmp_path / "new", marked, False):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())
