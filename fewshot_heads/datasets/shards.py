"""Prepared clips in WebDataset shards, read at random from a disk or an object store.

A shard is a plain tar. One sample is one clip of one identity, its members one after another:

    <key>.json           what is known of the clip, and the bytes of each frame
    <key>.landmarks.npy  float32 [T, 70 or 221, 3], pixels of the crop, as `Landmarks.to_array` made them
    <key>.0000.jpg ...   the frames, size x size

so the first two are one range to read and every frame another. `index.jsonl` says where each clip lies; it is
written last, so a folder that has it is complete. `shard_writer` writes them.
"""

from __future__ import annotations

import io
import json
import operator
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import fsspec
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import N_POINTS, N_SURFACE

INDEX = "index.jsonl"
BLOCK = 512  # what a tar is made of: a header of one, data padded to whole ones
_FACES = ((N_POINTS, 3), (N_POINTS + N_SURFACE, 3))  # what `Landmarks.to_array` makes
_AGAIN = "fetch it again, or prepare the data anew into another folder"


class Sample(NamedTuple):
    """A clip in memory: facts, landmarks float32 [T, 70 or 221, 3] and T encoded frames."""

    meta: dict[str, Any]
    landmarks: np.ndarray
    jpegs: list[bytes]


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
        """float32 [T, 70 or 221, 3], pixels of the crop, as `Landmarks.to_array` made them; not to be written to."""
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
        extents.append((position + BLOCK, position + BLOCK + size))
        position += BLOCK + size + -size % BLOCK
    return _Head(meta, landmarks, extents)


@contextmanager
def _members(data: bytes, shard: str) -> Iterator[tuple[dict[str, Any], np.ndarray, Iterator[tuple[str, bytes]]]]:
    """(meta, landmarks, the other members) of a sample's bytes."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            members = ((info.name, tar.extractfile(info).read()) for info in tar)  # type: ignore[union-attr]
            meta = json.loads(next(members)[1])
            landmarks = np.load(io.BytesIO(next(members)[1]), allow_pickle=False)
            if landmarks.shape[0] != len(meta["frame_bytes"]) or landmarks.shape[1:] not in _FACES:
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
