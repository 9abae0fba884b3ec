"""Ways to spoil a saved head: every array in turn gets values, types, shapes or images that do not fit."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from fewshot_heads.landmarks import N_POINTS
from tests.hostile.damage import png_bomb
from tests.hostile.good_files import encoded

Arrays = dict[str, np.ndarray]
Change = Callable[[np.ndarray, Random], np.ndarray]


def _one(value: float) -> Change:
    """One number of the array is another one."""

    def changed(array: np.ndarray, random: Random) -> np.ndarray:
        array = array.copy()
        array.flat[random.randrange(array.size)] = value
        return array

    return changed


def _one_place(value: float) -> Change:
    """One landmark has another place in the image. Depth may be unknown, so it stays."""

    def changed(array: np.ndarray, random: Random) -> np.ndarray:
        array = array.copy()
        array[0, random.randrange(array.shape[1]), random.randrange(2)] = value
        return array

    return changed


def _noise(array: np.ndarray, random: Random) -> np.ndarray:
    """Points anywhere in the box of the face."""
    low, high = array.min((0, 1)), array.max((0, 1))
    return np.random.default_rng(random.getrandbits(32)).uniform(low, high, array.shape).astype(np.float32)


def _shuffled(array: np.ndarray, random: Random) -> np.ndarray:
    """The points of a face in another order."""
    return array[:, np.random.default_rng(random.getrandbits(32)).permutation(array.shape[1])]


def _sides(*factors: float) -> Change:
    """Left, top, side and size of the crop times these factors."""
    return lambda array, random: (array * np.array(factors)).astype(np.float32)


def _image(*shape: int, kind: str = "PNG") -> Change:
    """A whole image of another size or kind."""
    return lambda array, random: np.frombuffer(encoded(np.full(shape, 255, np.uint8), kind), np.uint8)


def _bomb(array: np.ndarray, random: Random) -> np.ndarray:
    return np.frombuffer(png_bomb(b"", random), np.uint8)


def _rows(count: int) -> Change:
    """The array `count` times."""
    return lambda array, random: np.concatenate([array] * count) if count else array[:0]


_ARRAYS: dict[str, tuple[str, Change]] = {
    "landmarks-nan": ("landmarks", _one_place(math.nan)),
    "landmarks-infinite": ("landmarks", _one_place(-math.inf)),
    "landmarks-huge": ("landmarks", _one_place(1e30)),
    "landmarks-noise": ("landmarks", _noise),
    "landmarks-shuffled": ("landmarks", _shuffled),
    "landmarks-half": ("landmarks", lambda array, _: array.astype(np.float16)),
    "landmarks-double": ("landmarks", lambda array, _: array.astype(np.float64)),
    "landmarks-flat": ("landmarks", lambda array, _: array[..., :2]),
    "landmarks-one-row": ("landmarks", lambda array, _: array.ravel()),
    "landmarks-fewer": ("landmarks", lambda array, _: array[:, : N_POINTS - 2]),
    "landmarks-none": ("landmarks", _rows(0)),
    "landmarks-of-two": ("landmarks", _rows(2)),
    "confidence-nan": ("confidence", _one(math.nan)),
    "confidence-negative": ("confidence", _one(-5)),
    "confidence-bool": ("confidence", lambda array, _: array > 0),
    "confidence-of-two": ("confidence", _rows(2)),
    "confidence-none": ("confidence", _rows(0)),
    "crop-nan": ("crop", _one(math.nan)),
    "crop-huge": ("crop", _sides(1, 1, 1e6, 1)),
    "crop-many-pictures": ("crop", _sides(1, 1, 20, 1)),
    "crop-negative": ("crop", _sides(1, 1, -1, 1)),
    "crop-zero": ("crop", _sides(1, 1, 0, 1)),
    "crop-tiny": ("crop", _sides(1, 1, 0.005, 1)),
    "crop-far": ("crop", _sides(1, 1e6, 1, 1)),
    "crop-size-zero": ("crop", _sides(1, 1, 1, 0)),
    "crop-size-huge": ("crop", _sides(1, 1, 1, 1e6)),
    "crop-of-three": ("crop", lambda array, _: array[:3]),
    "style-empty": ("style", _rows(0)),
    "style-short": ("style", lambda array, random: array[: random.randrange(1, len(array))]),
    "style-long": ("style", _rows(2)),
    "style-2d": ("style", lambda array, _: array[None]),
    "style-bool": ("style", lambda array, _: array > 0),
    "style-nan": ("style", _one(math.nan)),
    "style-infinite": ("style", _one(math.inf)),
    "style-huge": ("style", _one(1e30)),
    "code-nan": ("e_hat", _one(math.nan)),
    "code-short": ("e_hat", lambda array, random: array[: random.randrange(1, len(array))]),
    "code-number": ("e_hat", lambda array, _: array[0]),
    "code-half": ("e_hat", lambda array, _: array.astype(np.float16)),
    "texture-8192": ("texture_0", _image(8192, 8192, 3)),
    "texture-oblong": ("texture_0", _image(256, 128, 3)),
    "texture-odd": ("texture_0", _image(33, 33, 3)),
    "texture-bomb": ("texture_0", _bomb),
    "texture-cut": ("texture_0", lambda array, random: array[: random.randrange(1, len(array) // 2)]),
    "texture-float": ("texture_0", lambda array, _: array.astype(np.float32)),
    "texture-two-rows": ("texture_0", lambda array, _: array[: len(array) // 2 * 2].reshape(2, -1)),
    "picture-bomb": ("picture", _bomb),
    "picture-too-large": ("picture", _image(4100, 4100, 3)),
    "picture-gray": ("picture", _image(400, 400)),
    "picture-alpha": ("picture", _image(400, 400, 4)),
    "picture-pixel": ("picture", _image(1, 1, 3)),
    "picture-jpeg": ("picture", _image(400, 400, 3, kind="JPEG")),
    "picture-none": ("picture", _rows(0)),
    "layer-bomb": ("head_0", _bomb),
    "layer-without-alpha": ("head_0", _image(256, 256, 3)),
    "body-bomb": ("body", _bomb),
    "background-other-side": ("background", _image(32, 32, 3)),
}


def _missing(name: str) -> Callable[[Arrays], Any]:
    return lambda arrays: arrays.pop(name)


def _more(**more: Any) -> Callable[[Arrays], Any]:
    return lambda arrays: arrays.update(more)


def _another_view(arrays: Arrays) -> None:
    """Images of a second view, of which there are no landmarks."""
    arrays |= {"texture_1": arrays["texture_0"], "head_1": arrays["head_0"]}


def _no_views(arrays: Arrays) -> None:
    for name in ("texture_0", "head_0"):
        del arrays[name]
    for name in ("landmarks", "confidence"):
        arrays[name] = arrays[name][:0]


def _many_views(arrays: Arrays) -> None:
    """More views than a head may have, all whole."""
    for name in ("landmarks", "confidence"):
        arrays[name] = arrays[name].repeat(200, 0)
    arrays |= {f"{name}_{view}": arrays[f"{name}_0"] for view in range(200) for name in ("texture", "head")}


_FILES: dict[str, Callable[[Arrays], Any]] = {
    **{f"no-{name}": _missing(name) for name in ("e_hat", "style", "landmarks", "confidence", "crop", "picture")},
    **{f"no-{name}": _missing(name) for name in ("texture_0", "head_0", "body", "background")},
    "junk": _more(junk=np.zeros(3, np.float32)),
    "junk-name": _more(**{"\n\x1b[2J": np.zeros(3, np.float32)}),
    "another-view": _another_view,
    "no-views": _no_views,
    "many-views": _many_views,
    "tuned-junk": _more(**{"tuned.junk": np.zeros(3, np.float16)}),
    "tuned-some": _more(**{"tuned.project.weight": np.zeros((8, 8), np.float16)}),
    "tuned-nan": _more(**{"tuned.project.weight": np.full((8, 8), math.nan, np.float16)}),
    "tuned-double": _more(**{"tuned.project.weight": np.zeros((8, 8), np.float64)}),
    "tuned-without-name": _more(**{"tuned.": np.zeros(3, np.float16)}),
}
_ABOUT = {
    "turns-many": {"turns": "9"},
    "turns-text": {"turns": "x"},
    "generator-other": {"generator": "\n"},
    "format-other": {"format": "fewshot_heads.head.99"},
    "format-none": {"format": ""},
}


def _spoil(path: Path, random: Random, name: str) -> None:
    data = path.read_bytes()
    arrays, length = load(data), struct.unpack("<Q", data[:8])[0]
    about = json.loads(data[8 : 8 + length])["__metadata__"]
    if name in _ARRAYS:
        array, change = _ARRAYS[name]
        arrays[array] = np.ascontiguousarray(change(arrays[array], random))
    elif name in _FILES:
        _FILES[name](arrays)
    path.write_bytes(save(arrays, about | _ABOUT.get(name, {})))


def _named(name: str) -> Callable[[Path, Random], None]:
    return lambda path, random: _spoil(path, random, name)


SPOILED_HEADS = {name: _named(name) for name in (*_ARRAYS, *_FILES, *_ABOUT)}
