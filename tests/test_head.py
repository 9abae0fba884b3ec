"""A head is checked wherever it comes from: a file of a stranger gives one line, never a ruined video."""

import dataclasses
import math
import zlib

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fewshot_heads import BadInput, Head, WeightsMismatch
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from tests.faces import face

SIZE, SIDE = 128, 64


TUNED = {"project.weight": np.zeros((5, 8), np.float32), "project.bias": np.arange(5, dtype=np.float32)}
SHAPES = {"e_hat": (8,), "style": (5,)}


def small_head(**changes):
    random = np.random.default_rng(0)

    def image(*shape):
        return random.integers(0, 256, shape, np.uint8)

    values = {
        "e_hat": random.random(8, np.float32), "style": random.random(5, np.float32),
        "textures": image(2, SIDE, SIDE, 3), "heads": image(2, SIDE, SIDE, 4),
        "body": image(SIDE, SIDE, 4), "background": image(SIDE, SIDE, 3),
        "landmarks": [face(center=(64, 64), scale=30)] * 2, "picture": image(90, 100, 3),
        "crop": Crop(10.0, 5.0, 80.0, SIZE), "generator": "ab" * 32, "tuned": TUNED,
    }  # fmt: skip
    return Head(**{**values, **changes})


def stored(path):
    """Tensors and metadata of a file."""
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def bomb(side):
    """A PNG of `side` squared pixels in few bytes, as a tensor."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress(bytes(10_000))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return torch.frombuffer(bytearray(png), dtype=torch.uint8)


def blank():
    """The PNG of a transparent layer, as a tensor."""
    return torch.from_numpy(cv2.imencode(".png", np.zeros((SIDE, SIDE, 4), np.uint8))[1].ravel())


def test_a_head_comes_back_from_its_file(tmp_path):
    head = small_head()
    head.save(tmp_path / "head.safetensors")
    again = Head.load(tmp_path / "head.safetensors")
    for name in ("textures", "heads", "body", "background", "picture"):
        np.testing.assert_array_equal(getattr(again, name), getattr(head, name))
    np.testing.assert_array_equal(again.e_hat, head.e_hat)
    np.testing.assert_array_equal(again.style, head.style)
    assert again.crop == head.crop and again.generator == head.generator
    assert all((again.tuned[key] == value).all() for key, value in head.tuned.items())


SPOILED = {
    "e_hat with NaN": ("e_hat", lambda value: value * math.nan),
    "e_hat infinite": ("e_hat", lambda value: value / 0),
    "e_hat absurd": ("e_hat", lambda value: value + 1e30),
    "e_hat of two rows": ("e_hat", lambda value: value[None].repeat(2, 1)),
    "e_hat of truth values": ("e_hat", lambda value: value > 0.5),
    "e_hat of doubles": ("e_hat", lambda value: value.double()),
    "style with NaN": ("style", lambda value: value * math.nan),
    "style of one number": ("style", lambda value: value[0]),
    "landmarks with NaN": ("landmarks", lambda value: value * math.nan),
    "landmarks infinite": ("landmarks", lambda value: value / 0),
    "landmarks absurd": ("landmarks", lambda value: value + 1e7),
    "landmarks of fewer points": ("landmarks", lambda value: value[:, :68]),
    "landmarks of no face": ("landmarks", lambda value: value[:0]),
    "landmarks of another count": ("landmarks", lambda value: value[:1]),
    "landmarks on one place": ("landmarks", lambda value: value * 0 + 64),
    "landmarks on a line": ("landmarks", lambda value: value * torch.tensor([1, 0, 0]) + torch.tensor([0, 64, 0])),
    "landmarks with a closed-up eye": ("landmarks", lambda value: value.index_fill(1, torch.arange(36, 42), 64.0)),
    "landmarks of halves": ("landmarks", lambda value: value.half()),
    "landmarks of an absurd depth": ("landmarks", lambda value: value * torch.tensor([1, 1, 1000])),
    "confidence with NaN": ("confidence", lambda value: value * math.nan),
    "confidence of truth values": ("confidence", lambda value: value > 0.5),
    "confidence over one": ("confidence", lambda value: value + 1),
    "head layer without a face": ("head_1", lambda value: blank()),
    "confidence of another count": ("confidence", lambda value: value[:1]),
    "crop with NaN": ("crop", lambda value: value * math.nan),
    "crop infinite": ("crop", lambda value: value / 0),
    "crop without size": ("crop", lambda value: value * torch.tensor([1, 1, 1, 0])),
    "crop of a negative side": ("crop", lambda value: value * torch.tensor([1, 1, -1, 1])),
    "crop of no side": ("crop", lambda value: value * torch.tensor([1, 1, 0, 1])),
    "crop of a huge side": ("crop", lambda value: value * torch.tensor([1, 1, 1e6, 1])),
    "crop of a tiny side": ("crop", lambda value: value * torch.tensor([1, 1, 0.1, 1])),
    "crop of many pictures": ("crop", lambda value: value * torch.tensor([1, 1, 6, 1])),
    "crop of a huge size": ("crop", lambda value: value * torch.tensor([1, 1, 1, 1e6])),
    "crop beside the picture": ("crop", lambda value: value + torch.tensor([1e4, 0, 0, 0])),
    "crop of three numbers": ("crop", lambda value: value[:3]),
    "texture of no picture": ("texture_1", lambda value: value[:40]),
    "texture of a bomb": ("texture_0", lambda value: bomb(9_000)),
    "texture of another side": ("texture_1", lambda value: bomb(32)),
    "texture of two rows": ("texture_0", lambda value: value[: len(value) // 2 * 2].reshape(2, -1)),
    "texture of floats": ("texture_0", lambda value: value.float()),
    "background of another side": ("background", lambda value: bomb(96)),
    "body without alpha": ("body", lambda value: bomb(64)),
    "picture of a bomb": ("picture", lambda value: bomb(12_000)),
    "tuned weights with NaN": ("tuned.project.weight", lambda value: value * math.nan),
    "tuned weights of complex numbers": ("tuned.project.bias", lambda value: value.to(torch.complex64)),
    "tuned weights infinite": ("tuned.project.bias", lambda value: value / 0),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_spoiled_head_is_one_line(tmp_path, what):
    path = tmp_path / "head.safetensors"
    small_head().save(path)
    tensors, about = stored(path)
    key, spoil = SPOILED[what]
    save_file({**tensors, key: spoil(tensors[key]).contiguous()}, path, about)
    with pytest.raises(BadInput) as caught:
        Head.load(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line and ("again" in line or "Head.save" in line)


@pytest.mark.parametrize("key", ["junk", "texture_2", "tuned"])
def test_a_head_with_something_more_is_one_line(tmp_path, key):
    path = tmp_path / "head.safetensors"
    small_head().save(path)
    tensors, about = stored(path)
    save_file({**tensors, key: tensors["body"].clone()}, path, about)
    with pytest.raises(BadInput, match=f"got an unknown array {key}.*; embed its pictures again"):
        Head.load(path)


def test_a_head_of_the_full_crop_comes_back(tmp_path):
    head = small_head(crop=Crop(5, 0, 90, SIZE))  # whole numbers, as `Crop.full` has
    head.save(tmp_path / "head.safetensors")
    assert Head.load(tmp_path / "head.safetensors").crop == head.crop


@pytest.mark.parametrize("key", ["e_hat", "landmarks", "crop", "texture_1", "head_0", "picture", "body"])
def test_a_head_that_lacks_a_part_is_one_line(tmp_path, key):
    path = tmp_path / "head.safetensors"
    small_head().save(path)
    tensors, about = stored(path)
    del tensors[key]
    save_file(tensors, path, about)
    with pytest.raises(BadInput, match="head.safetensors: not a head"):
        Head.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"e_hat": np.zeros(7, np.float32)},
        {"style": np.zeros(4, np.float32)},
        {"crop": Crop(10.0, 5.0, 80.0, 2 * SIZE)},
        {"tuned": {"project.weight": np.zeros((5, 8), np.float32)}},
        {"tuned": TUNED | {"project.weight": np.zeros((5, 7), np.float32)}},
        {"tuned": TUNED | {"more": np.zeros(1, np.float32)}},
        {"generator": "cd" * 32},
    ],
)
def test_a_head_must_fit_the_generator(changes):
    tuned = {name: value.shape for name, value in TUNED.items()}
    small_head().check_fits("ab" * 32, SIZE, SHAPES | tuned)
    small_head(tuned=None).check_fits("ab" * 32, SIZE, SHAPES)
    with pytest.raises(WeightsMismatch, match=r"anna\.safetensors: .*again"):
        small_head(**changes).check_fits("ab" * 32, SIZE, SHAPES | tuned, "anna.safetensors")


def test_a_crop_never_takes_more_memory_than_a_picture():
    picture = np.zeros((4000, 4000, 3), np.uint8)
    with pytest.raises(BadInput, match="expected a square of 4000x4000 pixels"):
        small_head(picture=picture, crop=Crop(-6000.0, -6000.0, 20_000.0, SIZE))
    with pytest.raises(BadInput, match="16.7772 million pixels at most"):
        small_head(picture=np.zeros((4097, 4096, 3), np.uint8))
    assert small_head(picture=picture, crop=Crop(-500.0, -500.0, 5000.0, SIZE)).crop.side == 5000


def test_a_head_of_a_caller_is_checked_too():
    with pytest.raises(BadInput, match="style with NaN"):
        dataclasses.replace(small_head(), style=np.full(5, math.nan, np.float32))


@pytest.mark.parametrize("name, value", [("points", math.nan), ("depth", math.inf), ("surface", -math.inf)])
def test_landmarks_are_numbers(name, value):
    good = face(center=(64, 64), scale=30)
    arrays = {"points": good.points, "depth": np.zeros(70), "surface": np.zeros((151, 3)), name: None}
    arrays[name] = np.full({"points": (70, 2), "depth": (70,), "surface": (151, 3)}[name], value)
    with pytest.raises(BadInput, match=f"{name} with NaN or infinity"):
        Landmarks(**arrays)
