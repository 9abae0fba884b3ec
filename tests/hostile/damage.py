"""Ways to ruin a file: of its bytes, of the values inside, or of what the name leads to."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import os
import socket
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load, save

from fewshot_heads.datasets.shard_index import INDEX
from fewshot_heads.models.specification import specification_sha256
from fewshot_heads.preparation.shard_writer import _member as member
from tests.hostile.good_files import encoded

Damage = Callable[[bytes, Random], bytes]

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\xff\xff\xff\xffWAVE", b"%!PS-Adobe-3.0",
          b"PK\3\4", b"\0\0\0\x18ftypmp42", b"\0\0\0\x18ftypheic", b"\x1aE\xdf\xa3", b"ffconcat version 1.0\n",
          b"#EXTM3U\n", b"\x80\x02c", b"<svg", b"OggS", b"FLV\1", b"SIMPLE  =", b"II*\0\xff\xff\xff\xff")  # fmt: skip
_HUGE = (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x80", b"\0" * 4, b"\xff" * 8)
# Values of JSON that a reader may not expect.
BAD_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 2**31, 2**63, 10**30, 0.5, 1e300, math.nan, math.inf, -math.inf, "", "x", "../x", "\0",
    "a\nb", "\x1b[2J", "照片", "a" * 5000, [], {}, [None], [[1]], [1] * 1000, {"a": {"b": {"c": 1}}},
)  # fmt: skip


def truncated(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(1, len(data))]


def start_only(data: bytes, random: Random) -> bytes:
    return data[: random.randint(1, min(40, len(data)))]


def flipped(data: bytes, random: Random) -> bytes:
    """One to 64 bits, anywhere."""
    return _flipped(data, random, len(data))


def flipped_header(data: bytes, random: Random) -> bytes:
    return _flipped(data, random, min(128, len(data)))


def _flipped(data: bytes, random: Random, end: int) -> bytes:
    changed = bytearray(data)
    for _ in range(2 ** random.randint(0, 6)):
        changed[random.randrange(end)] ^= 1 << random.randrange(8)
    return bytes(changed)


def lied(data: bytes, random: Random) -> bytes:
    """A huge or empty number, mostly in the header, where sizes stand."""
    changed, number = bytearray(data), random.choice(_HUGE)
    start = random.randrange(min(len(data), random.choice([64, 512, len(data)])))
    changed[start : start + len(number)] = number
    return bytes(changed)


def another_magic(data: bytes, random: Random) -> bytes:
    magic = random.choice(_MAGIC)
    return magic + data[len(magic) :]


def zeroed(data: bytes, random: Random) -> bytes:
    start, length = random.randrange(len(data)), random.randint(1, len(data))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def noise(data: bytes, random: Random) -> bytes:
    return random.randbytes(len(data))


def cut_out(data: bytes, random: Random) -> bytes:
    start, length = random.randrange(len(data)), random.randint(1, len(data))
    return data[:start] + data[start + length :] or b"\0"


def doubled(data: bytes, random: Random) -> bytes:
    cut = random.randrange(len(data))
    return data[:cut] + data


BYTES: tuple[Damage, ...] = (truncated, start_only, flipped, flipped_header, lied, another_magic, zeroed, noise,
                             cut_out, doubled)  # fmt: skip


def json_value(data: bytes, random: Random) -> bytes:
    """One value is another one, or a key is missing."""
    document = json.loads(data)
    parents: list[Any] = [document]
    for parent in parents:
        parents += [child for child in _children(parent) if isinstance(child, (dict, list)) and child]
    parent = random.choice(parents)
    key = random.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
    if random.random() < 0.2:
        del parent[key]
    else:
        parent[key] = copy.deepcopy(random.choice(BAD_VALUES))
    return json.dumps(document).encode()


def _children(parent: Any) -> list[Any]:
    return list(parent.values()) if isinstance(parent, dict) else list(parent) if isinstance(parent, list) else []


def json_text(data: bytes, random: Random) -> bytes:
    """Something else than the expected object, or no JSON at all."""
    texts = [b"null", b"[]", b"{}", b"1e999", b"[" * 100_000, b'{"a":' * 5000, b"\xff\xfe{\0}\0", b"NaN", b"'a'", b"\0"]
    return random.choice(texts)


def json_lines(data: bytes, random: Random) -> bytes:
    """One line of several is damaged by `json_value` or `json_text`."""
    lines = data.splitlines()
    number = random.randrange(len(lines))
    lines[number] = random.choice((json_value, json_value, json_text))(lines[number], random)
    return b"\n".join(lines) + b"\n"


def tensors(data: bytes, random: Random) -> bytes:
    """One tensor is missing, of another shape or type, or has values that are no numbers."""
    arrays, length = load(data), struct.unpack("<Q", data[:8])[0]
    about = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    name = random.choice(sorted(arrays))
    array = arrays[name]
    change = random.randrange(7)
    if change == 0:
        del arrays[name]
    elif change == 1:
        arrays[name] = np.zeros([random.choice([0, 1, 3, 100]) for _ in range(random.randrange(5))], array.dtype)
    elif change == 2:
        arrays[name] = array.astype(random.choice([np.float64, np.int64, np.bool_, np.uint8, np.float16]))
    elif change == 3:
        arrays[name] = np.full(array.shape, random.choice([math.nan, math.inf, 1e30, -1e30]), np.float32)
    elif change == 4:
        arrays[name] = np.concatenate([array.ravel(), array.ravel()])
    elif change == 5:
        arrays[name] = np.frombuffer(random.choice((png_bomb, odd_png, noise))(b"0" * 99, random), np.uint8)
    else:
        about = {
            **about,
            random.choice(["format", "generator"]): random.choice(["", "fewshot_heads.head.2", "\n", "a" * 9]),
        }
    return save(arrays, about)


def tensor_header(data: bytes, random: Random) -> bytes:
    """The header of a safetensors file lies about a type, a shape or a place."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json_value(data[8 : 8 + length], random)
    return struct.pack("<Q", random.choice([len(header), len(header), 2**40, 0])) + header + data[8 + length :]


def png_bomb(data: bytes, random: Random) -> bytes:
    """A PNG whose header promises more pixels than any memory holds."""
    sides = struct.pack(">II", random.choice([20_000, 65_535, 2**31 - 1]), random.choice([1, 20_000, 2**31 - 1]))
    header = b"IHDR" + sides + bytes([random.choice([8, 16]), random.choice([0, 2, 6]), 0, 0, 0])
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    body = b"IDAT" + zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def odd_png(data: bytes, random: Random) -> bytes:
    """A whole PNG of a size or type that nobody expects."""
    shape = random.choice([(1, 1), (1, 5000), (5000, 1), (31, 64), (33, 2000), (64, 64)])
    return encoded(np.zeros((*shape, *random.choice([(), (3,), (4,)])), np.uint8), "PNG")


def jpeg_bomb(data: bytes, random: Random) -> bytes:
    """A JPEG whose header promises up to 65,535 pixels a side."""
    jpeg = encoded(np.zeros((64, 64, 3), np.uint8), "JPEG")
    start = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:start] + struct.pack(">HH", *random.choices([1, 5000, 65_535], k=2)) + jpeg[start + 4 :]


def ppm_bomb(data: bytes, random: Random) -> bytes:
    return f"P6 {random.choice([10**5, 10**9, 10**30, -1])} {random.choice([10**5, 10**30, 0])} 255\n".encode()


def wav_header(data: bytes, random: Random) -> bytes:
    """A WAV file with absurd channels, rates and sizes."""
    kind, channels = random.choice([0, 1, 3, 0xFFFE]), random.choice([0, 1, 255, 65_535])
    rate, width = random.choice([0, 1, 2**31, 2**32 - 1]), random.choice([0, 1, 8, 16, 32, 65_535])
    bytes_a_second, block = random.choice([0, 2**32 - 1]), random.choice([0, 1, 65_535])
    about = struct.pack("<HHIIHH", kind, channels, rate, bytes_a_second, block, width)
    return _wav(about, data[44:], random.choice([0, 100, 2**32 - 1]))


def float_wav(data: bytes, random: Random) -> bytes:
    """A WAV file of float samples that are no sound."""
    samples = np.full(3000, random.choice([math.nan, math.inf, 3e38]), np.float32).tobytes()
    return _wav(struct.pack("<HHIIHH", 3, 1, 8000, 32_000, 4, 32), samples, len(samples))


def _wav(about: bytes, samples: bytes, size: int) -> bytes:
    chunk = struct.pack("<I", len(about)) + about
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + chunk + b"data" + struct.pack("<I", size) + samples


def array_file(data: bytes, random: Random) -> bytes:
    """An array with another shape, with Python objects, or with a size that no memory holds."""
    header = random.choice([
        "{'descr': '|O', 'fortran_order': False, 'shape': (3, 221, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 221, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 221, 3)}",
        "{'descr': '<f8', 'fortran_order': True, 'shape': (1, 2)}",
        "__import__('os').getcwd()", "(" * 1000, "",
    ])  # fmt: skip
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + bytes(64)


def nan_landmarks(data: bytes, random: Random) -> bytes:
    """Landmarks of a clip with values that are no points, or too many points."""
    array = np.load(io.BytesIO(data))
    array[random.randrange(len(array))] = random.choice([math.nan, math.inf, 1e30])
    out = io.BytesIO()
    np.save(out, random.choice([array, array[:1], array[..., :2], array.astype(np.float64)]))
    return out.getvalue()


def odd_state(data: bytes, random: Random) -> bytes:
    """A file of torch with anything but weights."""
    value = random.choice([None, [], {"step": 1e300}, {"weight": torch.full((2, 2), math.nan)}, {1: {2: 3}}, "text"])
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def python_code(data: bytes, random: Random) -> bytes:
    """A pickle that would run a command."""
    return b"cos\nsystem\n(S'touch pickle_was_run'\ntR."


# What may happen to a file, by its suffix, besides BYTES.
BY_SUFFIX: dict[str, tuple[Damage, ...]] = {
    ".safetensors": (tensors, tensors, tensor_header),
    ".json": (json_value, json_value, json_value, json_text),
    ".jsonl": (json_lines, json_lines, json_lines),
    ".wav": (wav_header, float_wav),
    ".npz": (array_file, python_code),
    ".pt": (odd_state, python_code),
    **dict.fromkeys(
        (".jpg", ".png", ".webp", ".bmp", ".tiff", ".gif", ".ppm"), (png_bomb, odd_png, jpeg_bomb, ppm_bomb)
    ),
}
_BY_MEMBER = {
    ".json": (json_value, json_text),
    ".npy": (array_file, nan_landmarks),
    ".jpg": (jpeg_bomb, odd_png, flipped),
}


def damage_clip(folder: Path, random: Random) -> None:
    """Damages a member of a clip in prepared data. The index fits the damaged shard, as a forger makes it fit."""
    rows = [json.loads(line) for line in (folder / INDEX).read_text().splitlines()]
    shard = folder / rows[0]["shard"]
    with tarfile.open(shard) as tar:
        members = [(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    number = random.randrange(len(members))
    name, data = members[number]
    members[number] = (name, random.choice(_BY_MEMBER[Path(name).suffix])(data, random))
    offset, packed = 0, b""
    for row in rows:
        clip = [member(name, data) for name, data in members if name.startswith(f"{row['key']}.")]
        row |= {"offset": offset, "length": sum(map(len, clip)), "head": len(clip[0]) + len(clip[1])}
        offset, packed = offset + row["length"], packed + b"".join(clip)
    shard.write_bytes(packed + bytes(1024))
    (folder / INDEX).write_text("".join(json.dumps(row) + "\n" for row in rows))


def resign(weights: Path, random: Random) -> None:
    """Writes the hash of changed weights into their specification, as whoever changes them can."""
    try:
        about = json.loads(weights.with_suffix(".json").read_bytes())
        about["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        about["spec_sha256"] = specification_sha256(about["spec"])
    except (ValueError, LookupError, TypeError, RecursionError):  # the specification itself is damaged
        return
    weights.with_suffix(".json").write_text(json.dumps(about))


def damage_file(path: Path, random: Random) -> None:
    """Damages a file by its suffix, or a file of a folder."""
    if path.is_dir():
        if (path / INDEX).exists() and random.random() < 0.5:
            return damage_clip(path, random)
        path = random.choice(sorted(file for file in path.iterdir() if file.is_file()))
    choices = BY_SUFFIX.get(path.suffix, ())
    damage = random.choice(choices if choices and random.random() < 0.5 else BYTES)
    path.write_bytes(damage(path.read_bytes(), random))
    weights = path.with_suffix(".safetensors")
    if weights.exists() and path.with_suffix(".json").exists() and random.random() < 0.8:
        resign(weights, random)


def no_file(path: Path, _: Random) -> None:
    """Leaves nothing under the name."""


def empty_file(path: Path, _: Random) -> None:
    path.touch()


def folder(path: Path, _: Random) -> None:
    path.mkdir()


def pipe(path: Path, _: Random) -> None:
    os.mkfifo(path)


def endless_device(path: Path, _: Random) -> None:
    path.symlink_to("/dev/zero")


def empty_device(path: Path, _: Random) -> None:
    path.symlink_to("/dev/null")


def link_to_itself(path: Path, _: Random) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path, _: Random) -> None:
    path.symlink_to("absent")


def unix_socket(path: Path, _: Random) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # the address of a socket has 107 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


def unreadable_file(path: Path, _: Random) -> None:
    path.write_bytes(b"secret")
    path.chmod(0)


NO_FILES = (no_file, empty_file, folder, pipe, endless_device, empty_device, link_to_itself, link_to_nothing,
            unix_socket, unreadable_file)  # fmt: skip
