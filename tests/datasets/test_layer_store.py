"""The layers of source images are separated once and kept."""

import numpy as np
import pytest

from fewshot_heads.datasets import layer_store
from fewshot_heads.datasets.layer_store import LayerStore, separate_image
from tests.footage import mona_footage


@pytest.fixture(scope="module")
def frame():
    clip = mona_footage()[0]
    return np.asarray(clip.frames[0]), np.asarray(clip.landmarks[0])


@pytest.fixture
def calls(monkeypatch):
    """Counts the separations."""
    made = []

    def separate(image, landmarks):
        made.append(image)
        return separate_image(image, landmarks)

    monkeypatch.setattr(layer_store, "separate_image", separate)
    return made


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("kept", ["memory", "files"])
def test_layers_are_made_once_and_come_back_exactly(frame, calls, tmp_path, kept):
    store = LayerStore(tmp_path / "new" if kept == "files" else None)
    expected = separate_image(*frame)
    assert same(store(*frame), expected) and same(store(*frame), expected)
    assert len(calls) == 1
    other = frame[0].copy()
    other[0, 0] ^= 255
    store(other, frame[1])
    assert len(calls) == 2


def test_another_process_finds_the_files_and_mends_a_damaged_one(frame, calls, tmp_path):
    first = LayerStore(tmp_path)(*frame)
    (path,) = tmp_path.iterdir()
    assert same(LayerStore(tmp_path)(*frame), first) and len(calls) == 1
    path.write_bytes(path.read_bytes()[:999])
    assert same(LayerStore(tmp_path)(*frame), first) and len(calls) == 2
    assert same(LayerStore(tmp_path)(*frame), first) and len(calls) == 2


def test_other_code_makes_other_files(frame, calls, tmp_path, monkeypatch):
    LayerStore(tmp_path)(*frame)
    monkeypatch.setattr(layer_store, "_recipe", lambda: b"tomorrow's")
    LayerStore(tmp_path)(*frame)
    assert len(calls) == 2 and len(list(tmp_path.iterdir())) == 2
