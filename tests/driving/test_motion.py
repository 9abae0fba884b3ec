"""Motions in a file: what `save` wrote comes back, and anything else is one line."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fewshot_heads.driving.motion import Motion, is_motion
from fewshot_heads.errors import BadInput, OutputError
from tests.faces import face

ABOUT = {"format": "fewshot_heads.motion.1", "rate": "30000/1001", "name": '"talk.mp4"'}


def motion(surface=0.0, depth=True):
    faces = [face(turn=(0.0, i / 10, 0.0), surface=surface, depth=depth) for i in range(4)]
    return Motion(faces, [1], [(0, 3), (3, 4)], (200, 300), "clips/talk.mp4", rate=Fraction(30000, 1001))


@pytest.mark.parametrize(("surface", "depth"), [(0.0, True), (None, True), (None, False)])
def test_a_saved_motion_comes_back(tmp_path, surface, depth):
    saved = motion(surface, depth)
    saved.save(tmp_path / "m.safetensors")
    loaded = Motion.load(tmp_path / "m.safetensors")
    for a, b in zip(saved.landmarks, loaded.landmarks, strict=True):
        assert np.array_equal(a.to_array(), b.to_array(), equal_nan=True) and a.confidence == b.confidence
    assert (loaded.lost, loaded.shots, loaded.frame_size, loaded.rate) == (
        [1],
        [(0, 3), (3, 4)],
        (200, 300),
        saved.rate,
    )
    assert loaded.name == "talk.mp4" and loaded.mouths is None  # no folder of the user, and no pixels
    assert is_motion(tmp_path / "m.safetensors") and len(loaded) == 4


def test_a_reference_is_saved_too(tmp_path):
    motion().save(tmp_path / "none.safetensors")
    replace(motion(), reference=2).save(tmp_path / "two.safetensors")
    assert [Motion.load(tmp_path / f"{name}.safetensors").reference for name in ("none", "two")] == [None, 2]
    replace(motion(), reference=4).save(tmp_path / "wrong.safetensors")
    with pytest.raises(BadInput, match="reference 4, expected one of the frames"):
        Motion.load(tmp_path / "wrong.safetensors")


def test_a_motion_replaces_a_file_only_if_allowed(tmp_path):
    path = tmp_path / "m.safetensors"
    motion().save(path)
    with pytest.raises(OutputError, match="exists"):
        motion().save(path)
    motion(None).save(path, overwrite=True)
    assert not Motion.load(path).landmarks[0].has_surface
    with pytest.raises(BadInput, match="one detector"):
        Motion([face(), face(surface=0.0)], [], [(0, 2)], (200, 300)).save(tmp_path / "mixed.safetensors")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("landmarks", np.full((4, 221, 3), np.nan, np.float32), "NaN"),
        ("landmarks", np.full((4, 221, 3), np.inf, np.float32), "far from"),
        ("landmarks", np.full((4, 221, 3), 1e9, np.float32), "far from"),
        ("landmarks", np.ones((4, 221, 3), np.float32), "without size"),
        ("landmarks", np.linspace([0, 0, 0], [99, 99, 99], 884, dtype=np.float32).reshape(4, 221, 3), "span no face"),
        ("landmarks", np.zeros((0, 221, 3), np.float32), "no frame"),
        ("landmarks", np.zeros((4, 68, 3), np.float32), "68 landmarks"),
        ("landmarks", np.zeros((4, 221, 3), np.float64), "F64"),
        ("confidence", np.full(4, np.nan, np.float32), "confidence"),
        ("confidence", np.ones(3, np.float32), "confidences"),
        ("lost", np.array([4]), "lost"),
        ("shots", np.array([[0, 5]]), "shots"),
        ("shots", np.array([[0, 1], [2, 4]]), "shots"),
        ("frame_size", np.array([10**9, 10**9]), "too large"),
        ("frame_size", np.array([-1, 5]), "too small"),
        ("frame_size", np.array([[5, 5]]), "frame_size"),
        ("more", np.array([1]), "unknown array more"),
    ],
)
def test_values_out_of_range_are_one_line(tmp_path, name, value, told):
    path = tmp_path / "m.safetensors"
    motion().save(path)
    save_file(load_file(path) | {name: value}, path, ABOUT)
    with pytest.raises(BadInput, match=told) as error:
        Motion.load(path)
    assert str(error.value).startswith(f"{path}: ") and "track the driver again" in str(error.value)


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"format": "fewshot_heads.motion.9"}, "another version"),
        ({"format": "fewshot_heads.head.3"}, "not a motion"),
        ({"rate": "1/0"}, "rate"),
        ({"name": "{"}, "not a motion"),
    ],
)
def test_another_file_is_told(tmp_path, about, told):
    path = tmp_path / "m.safetensors"
    motion().save(path)
    save_file(load_file(path), path, ABOUT | about)
    with pytest.raises(BadInput, match=told):
        Motion.load(path)
    path.write_bytes(b"{}")
    with pytest.raises(BadInput, match="not a motion"):
        Motion.load(path)
    assert not is_motion(path) and not is_motion(tmp_path)
