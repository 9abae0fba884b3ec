"""Prepared clips in WebDataset shards, read at random from a disk or an object store.

A shard is a plain tar. One sample is one clip of one identity, its members one after another:

    <key>.json           what is known of the clip, and the bytes of each frame
    <key>.landmarks.npy  float32 [T, 70, 3], pixels of the crop, depth last (not a number if unknown)
    <key>.0000.jpg ...   the frames, size x size

so the first two are one range to read and every frame another. `index.jsonl` says where each clip lies; it is
written last, so a folder that has it is complete.
"""

from __future__ import annotations

import io
import json
import operator
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cv2
import fsspec
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.images import refused
from fewshot_heads.landmarks import N_POINTS

INDEX = "index.jsonl"
_BLOCK = 512  # what a tar is made of: a header of one, data padded to whole ones
_END = bytes(2 * _BLOCK)
_AGAIN = "fetch it again, or prepare the data anew into another folder"


class Sample(NamedTuple):
    """A clip in memory: facts, landmarks float32 [T, 70, 3] and T encoded frames."""

    meta: dict[str, Any]
    landmarks: np.ndarray
    jpegs: list[bytes]


# Writing


@contextmanager
def whole(path: Path, scratch: Path) -> Iterator[BinaryIO]:
    """A new file for `path`, written in the folder `scratch`; it takes its place when it is whole, or is removed.

    Raises OutputError for whatever the system refuses.
    """
    part = scratch / f"{path.name}.part"
    try:
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise refused(path, error) from error


def encode(key: str, sample: Sample) -> tuple[bytes, int]:
    """A sample as the bytes of its tar members, and how many of them lie before the first frame."""
    if "." in key:
        raise ValueError(f"key {key}: WebDataset ends a key at its first dot")
    meta = {**sample.meta, "frame_bytes": [len(jpeg) for jpeg in sample.jpegs]}
    array = io.BytesIO()
    np.save(array, sample.landmarks.astype(np.float32))
    head = _member(f"{key}.json", json.dumps(meta).encode()) + _member(f"{key}.landmarks.npy", array.getvalue())
    frames = [_member(f"{key}.{number:04d}.jpg", jpeg) for number, jpeg in enumerate(sample.jpegs)]
    return b"".join([head, *frames]), len(head)


def _member(name: str, data: bytes) -> bytes:
    """Header and data; owner, time and mode are those of no machine, so the same clip has the same bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % _BLOCK)


class ShardWriter:
    """Writes `<prefix>-000000.tar`, `-000001` ... of at most max_bytes (or one sample); each appears when whole."""

    def __init__(self, folder: Path, scratch: Path, prefix: str, max_bytes: int):
        self._folder, self._scratch, self._prefix, self._max_bytes = folder, scratch, prefix, max_bytes
        self._stack, self._count = ExitStack(), 0
        self._file: BinaryIO | None = None

    def add(self, encoded: bytes) -> tuple[str, int]:
        """Appends one sample; returns the shard's name and the offset in it."""
        if self._file and self._file.tell() + len(encoded) + len(_END) > self._max_bytes:
            self._end()
        if not self._file:
            self._file = self._stack.enter_context(whole(self._folder / self._name, self._scratch))
        offset = self._file.tell()
        self._file.write(encoded)
        return self._name, offset

    @property
    def _name(self) -> str:
        return f"{self._prefix}-{self._count:06d}.tar"

    def _end(self) -> None:
        if self._file:
            self._file.write(_END)
            self._stack.close()
            self._file, self._count = None, self._count + 1

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with self._stack:  # so an unfinished shard is removed, whoever failed
            if error:
                raise error
            self._end()


# Reading


@dataclass(frozen=True)
class ShardClip:
    """One clip in a shard. Nothing is read before it is asked for, and no file stays open: a clip may be pickled
    to any process.

    kind: "video" or "stills" (pictures of one person, each with a crop of its own). source: path of the original.
    """

    identity: str
    name: str
    kind: str
    seconds: float
    source: str
    shard: str  # path or URL
    offset: int
    head: int  # bytes before the first frame
    frame_count: int
    size: int  # pixels

    @property
    def frames(self) -> Frames:
        """The pictures, a sequence of uint8 RGB [S, S, 3] that are decoded when they are asked for."""
        return Frames(self)

    @property
    def landmarks(self) -> np.ndarray:
        """float32 [T, 70, 3], pixels of the crop, depth last (not a number if unknown); not to be written to."""
        return _head(self.shard, self.offset, self.head).landmarks

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of the clip: box in the source, rate, lost frames, sharpness ..."""
        return _head(self.shard, self.offset, self.head).meta


class Frames(Sequence[np.ndarray]):
    """The frames of a clip; looks like an array [T, S, S, 3] that is read one picture at a time."""

    def __init__(self, clip: ShardClip):
        self._clip = clip
        self.shape = (clip.frame_count, clip.size, clip.size, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> np.ndarray:  # type: ignore[override]
        """uint8 RGB [S, S, 3], or [N, S, S, 3] of a slice."""
        if isinstance(index, slice):
            chosen = [self[i] for i in range(*index.indices(len(self)))]
            return np.array(chosen, np.uint8).reshape(-1, *self.shape[1:])
        number = range(len(self))[operator.index(index)]
        clip = self._clip
        start, end = _head(clip.shard, clip.offset, clip.head).extents[number]
        data = np.frombuffer(_fetch(clip.shard, start, end), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
        if picture is None or picture.shape != self.shape[1:]:
            raise BadInput(f"{clip.shard}: frame {number} of {clip.name} is damaged; {_AGAIN}")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def open_shards(root: str | Path, split: str = "train") -> list[ShardClip]:
    """The clips of one split of prepared data, by identity; root is a folder or any fsspec URL.

    Looks whether every shard is there and as long as the index says. Raises BadInput.
    """
    base = str(root).rstrip("/")
    rows = read_index(root)
    chosen = [row for row in rows if row["split"] == split]
    if not chosen:
        there = " and ".join(sorted({row["split"] for row in rows})) or "nothing"
        raise BadInput(f"{root}: no clips of split '{split}', only of {there}; choose that, or prepare more people")
    needed: dict[str, int] = {}
    for row in chosen:
        shard = f"{base}/{row['shard']}"
        needed[shard] = max(needed.get(shard, 0), row["offset"] + row["length"])
    for shard, length in needed.items():
        _check_length(shard, length)
    return [
        ShardClip(
            row["identity"], row["key"], row["kind"], row["seconds"], row["source"], f"{base}/{row['shard']}",
            row["offset"], row["head"], row["frames"], row["size"],
        ) for row in chosen
    ]  # fmt: skip


def read_index(root: str | Path) -> list[dict[str, Any]]:
    """The rows of index.jsonl. Raises BadInput."""
    path = f"{str(root).rstrip('/')}/{INDEX}"
    try:
        system, inner = fsspec.core.url_to_fs(path)
        text = system.cat_file(inner).decode()
    except FileNotFoundError as error:
        raise BadInput(
            f"{root}: no {INDEX} in it, so no prepared data; make it with python -m fewshot_heads.prepare IN {root}"
        ) from error
    except (OSError, ImportError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({_line(error)}); check the address") from error
    try:
        return [json.loads(line) for line in text.splitlines()]
    except ValueError as error:
        raise BadInput(f"{path}: cut short or damaged; {_AGAIN}") from error


def read_sample(shard: str, offset: int, length: int) -> Sample:
    """A whole clip, frames still encoded."""
    with _members(_fetch(shard, offset, offset + length), shard) as (meta, landmarks, rest):
        return Sample(meta, landmarks, [data for _, data in rest])


class _Head(NamedTuple):
    meta: dict[str, Any]
    landmarks: np.ndarray
    extents: list[tuple[int, int]]  # of each frame's bytes in the shard


@lru_cache(maxsize=128)  # at 250 frames a clip 25 MB
def _head(shard: str, offset: int, length: int) -> _Head:
    with _members(_fetch(shard, offset, offset + length), shard) as (meta, landmarks, _):
        landmarks.setflags(write=False)
    extents, position = [], offset + length
    for size in meta["frame_bytes"]:
        extents.append((position + _BLOCK, position + _BLOCK + size))
        position += _BLOCK + size + -size % _BLOCK
    return _Head(meta, landmarks, extents)


@contextmanager
def _members(data: bytes, shard: str) -> Iterator[tuple[dict[str, Any], np.ndarray, Iterator[tuple[str, bytes]]]]:
    """(meta, landmarks, the other members) of a sample's bytes."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            members = ((info.name, tar.extractfile(info).read()) for info in tar)  # type: ignore[union-attr]
            meta = json.loads(next(members)[1])
            landmarks = np.load(io.BytesIO(next(members)[1]), allow_pickle=False)
            if landmarks.shape != (len(meta["frame_bytes"]), N_POINTS, 3):
                raise ValueError(f"landmarks of shape {landmarks.shape}")
            yield meta, landmarks, members
    except (tarfile.TarError, ValueError, KeyError, StopIteration, EOFError) as error:
        raise BadInput(f"{shard}: does not hold what the index says ({_line(error)}); {_AGAIN}") from error


def _check_length(shard: str, needed: int) -> None:
    try:
        system, inner = fsspec.core.url_to_fs(shard)
        length = system.size(inner)
    except FileNotFoundError as error:
        raise BadInput(f"{shard}: the index names it, but it is not there; {_AGAIN}") from error
    except OSError as error:
        raise BadInput(f"{shard}: cannot be read ({_line(error)}); check the address") from error
    if length is not None and length < needed:
        raise BadInput(f"{shard}: cut short, {length} bytes of at least {needed}; {_AGAIN}")


def _fetch(shard: str, start: int, end: int) -> bytes:
    """Bytes [start, end) of a file: stateless, so any process and any thread may ask."""
    try:
        system, inner = fsspec.core.url_to_fs(shard)
        return system.cat_file(inner, start=start, end=end)
    except OSError as error:
        raise BadInput(f"{shard}: cannot be read ({_line(error)}); {_AGAIN}") from error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
