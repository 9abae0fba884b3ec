"""Limits on uploads, their deletion, and messages without folders of the server."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest

from fewshot_heads import read_video
from fewshot_heads.errors import BadInput
from fewshot_heads.studio.uploads import UNFORESEEN, Files, public_line
from tests.conftest import write_clip


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path, max_seconds=1, max_pictures=3, keep_minutes=10)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "long.mp4", np.zeros((40, 64, 64, 3), np.uint8))


def test_driver__longer_than_allowed_is_refused(files, long_clip):
    with pytest.raises(BadInput, match=r"long\.mp4: 2 s long; 1 s are allowed here"):
        files.driver(long_clip)
    assert replace(files, max_seconds=2).driver(long_clip).path == long_clip


def test_frames__are_counted_where_a_file_hides_its_duration(files, long_clip):
    video, seen = replace(read_video(long_clip), duration=None), []
    with pytest.raises(BadInput, match=r"long\.mp4: longer; 1 s are allowed"):
        seen.extend(files.frames(video))
    assert len(list(replace(files, max_seconds=2).frames(video))) == 40


@pytest.mark.parametrize(
    ("count", "least", "line"),
    [(0, 1, "choose a portrait first"), (1, 2, "at least 2 pictures"), (4, 1, "4 pictures came; choose 3 at most")],
)
def test_pictures__too_few_or_too_many_are_refused(files, count, least, line):
    with pytest.raises(BadInput, match=line):
        files.pictures(["a.jpg"] * count, least)


def test_nothing_chosen__is_told(files):
    for choose in (files.driver, files.sound):
        with pytest.raises(BadInput, match="choose a .* first"):
            choose(None)


def test_sweep__deletes_old_files_and_their_folders_only(files):
    old, new = files.new("old.mp4"), files.new("new.mp4")
    for path in (old, new):
        path.write_bytes(b"video")
    before = time.time() - 11 * 60
    for path in (old, old.parent):
        os.utime(path, (before, before))
    files.sweep()
    files.sweep()  # the first deletion made the folder young again
    assert not old.exists() and new.exists()
    os.utime(old.parent, (before, before))
    files.sweep()
    assert sorted(files.folder.iterdir()) == [new.parent]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("/srv/my files/up/x1/anna 2.jpg: not a picture; save it", "anna 2.jpg: not a picture; save it."),
        ("no such file: '/home/me/models/a.safetensors'", "no such file: 'a.safetensors'."),
        ("C:\\Users\\me\\up\\a.mp4: cut off", "a.mp4: cut off."),
        ("choose a portrait first", "Choose a portrait first."),
        ("2/3 of 1/2 is odd", "2/3 of 1/2 is odd."),
    ],
)
def test_public_line__names_the_upload_and_no_folder(message, line):
    assert public_line(BadInput(message)) == line


def test_public_line__tells_nothing_about_errors_of_the_server():
    assert public_line(OSError(28, "No space left on device", "/srv/secret")) == UNFORESEEN
