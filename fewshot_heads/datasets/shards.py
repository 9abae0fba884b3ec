"""Prepared clips in WebDataset shards, with random access on disk or object store.

A shard is a plain tar. One sample is one clip of one identity. Its members are stored one after another:

    <key>.json           metadata of the clip, and the size of each frame in bytes
    <key>.landmarks.npy  float32 [T, 70 or 221, 3], pixels of the crop, as `Landmarks.to_array` returns them
    <key>.0000.jpg ...   the frames, size x size

Metadata and landmarks are one byte range, each frame is another. `index.jsonl` holds the position of each clip. The
index is written last: a folder with an index is complete. `preparation.shard_writer` writes the shards.
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

import fsspec
import numpy as np

from fewshot_heads.datasets.shard_index import REMEDY, read_index
from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.features.loading import UNREADABLE_ARRAY
from fewshot_heads.landmarks import N_POINTS, N_SURFACE
from fewshot_heads.media.images import open_image

BLOCK = 512  # bytes of a tar's block: a header has one, data are padded to whole blocks
_LANDMARK_SHAPES = ((N_POINTS, 3), (N_POINTS + N_SURFACE, 3))  # of `Landmarks.to_array`
_HEADS_IN_MEMORY = 1024  # 200 MB at 75 frames a clip
_MAX_FRAME_BYTES = 1 << 26  # of one encoded frame
_MAX_LANDMARK_FRAMES = 8  # distance of a landmark from the corner of its frame, sides of the frame


class Sample(NamedTuple):
    """A clip in memory.

    Attributes:
        meta: metadata of the clip.
        landmarks: float32 [T, 70 or 221, 3], pixels of the crop.
        jpegs: T encoded frames.
    """

    meta: dict[str, Any]
    landmarks: np.ndarray
    jpegs: list[bytes]


@dataclass(frozen=True)
class ShardClip:
    """One clip in a shard, a `Clip` that reads data on access.

    No file stays open. The clip may be pickled to any process.

    Attributes:
        identity: name of the person.
        name: key of the sample.
        kind: "video", or "stills" (images of one person, each with its own crop).
        seconds: length of a video; 0 for stills.
        source: path of the original footage.
        shard: path or URL of the tar.
        offset: first byte of the sample in the shard.
        head: bytes of the sample before the first frame.
        frame_count: number of frames.
        size: side of the frames, pixels.
    """

    identity: str
    name: str
    kind: str
    seconds: float
    source: str
    shard: str
    offset: int
    head: int
    frame_count: int
    size: int

    @property
    def frames(self) -> Frames:
        """The frames, uint8 [S, S, 3], RGB, decoded when they are indexed."""
        return Frames(self)

    @property
    def landmarks(self) -> np.ndarray:
        """float32 [T, 70 or 221, 3], pixels of the crop, as `Landmarks.to_array` returns them; read-only."""
        return _head(self.shard, self.offset, self.head, self.size).landmarks

    @property
    def meta(self) -> dict[str, Any]:
        """Metadata of the clip: box in the source, rate, lost frames, sharpness ..."""
        return _head(self.shard, self.offset, self.head, self.size).meta


class Frames(Sequence[np.ndarray]):
    """The frames of a clip, like an array [T, S, S, 3], read on access."""

    def __init__(self, clip: ShardClip):
        self._clip = clip
        self.shape = (clip.frame_count, clip.size, clip.size, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> np.ndarray:  # type: ignore[override]
        """Returns uint8 [S, S, 3], RGB, or [N, S, S, 3]. Raises BadInput if damaged."""
        if isinstance(index, slice):
            selected = [self[i] for i in range(*index.indices(len(self)))]
            return np.array(selected, np.uint8).reshape(-1, *self.shape[1:])
        number = range(len(self))[operator.index(index)]
        clip = self._clip
        start, end = _head(clip.shard, clip.offset, clip.head, clip.size).extents[number]
        data = _fetch(clip.shard, start, end)
        try:
            with open_image(Path(clip.shard), io.BytesIO(data), ("JPEG",)) as image:
                # The header first: a decoder would reserve memory for any size up to 65,535 x 65,535.
                if image.size != (clip.size, clip.size):
                    raise BadInput(f"{image.size[0]}x{image.size[1]} pixels, expected {clip.size}x{clip.size}")
                return np.array(image.convert("RGB"))
        except BadInput as error:
            raise BadInput(f"{clip.shard}: frame {number} of {clip.name} is damaged; {REMEDY}") from error


def open_shards(root: str | Path, split: str = "train") -> list[ShardClip]:
    """Returns the clips of one split of prepared data, in the order of the index.

    Every shard of the split is checked for presence and length.

    Args:
        root: folder or fsspec URL.
        split: "train" or "val".

    Raises:
        BadInput: no prepared data, no clip of the split, or a shard that is missing or cut short.
    """
    base = str(root).rstrip("/")
    rows = read_index(root)
    split_rows = [row for row in rows if row["split"] == split]
    if not split_rows:
        known = " and ".join(sorted({row["split"] for row in rows})) or "nothing"
        raise BadInput(f"{root}: no clips of split '{split}', only of {known}; choose that, or prepare more people")
    needed: dict[str, int] = {}  # bytes of each shard
    for row in split_rows:
        shard = f"{base}/{row['shard']}"
        needed[shard] = max(needed.get(shard, 0), row["offset"] + row["length"])
    for shard, length in needed.items():
        _check_length(shard, length)
    return [
        ShardClip(
            row["identity"], row["key"], row["kind"], row["seconds"], row["source"], f"{base}/{row['shard']}",
            row["offset"], row["head"], row["frames"], row["size"],
        ) for row in split_rows
    ]  # fmt: skip


def read_sample(shard: str, offset: int, length: int) -> Sample:
    """Returns a complete clip with encoded frames.

    Args:
        shard: path or URL of a tar.
        offset: first byte of the sample.
        length: bytes of the sample.

    Raises:
        BadInput: the shard cannot be read, or the bytes are no sample.
    """
    with _members(_fetch(shard, offset, offset + length), shard) as (meta, landmarks, rest):
        return Sample(meta, landmarks, [data for _, data in rest])


class _Head(NamedTuple):
    meta: dict[str, Any]
    landmarks: np.ndarray
    extents: list[tuple[int, int]]  # first byte and end of each frame in the shard


@lru_cache(maxsize=_HEADS_IN_MEMORY)
def _head(shard: str, offset: int, length: int, size: int) -> _Head:
    """Returns everything of a sample but its frames; length: bytes before the first frame; size: pixels of a frame."""
    with _members(_fetch(shard, offset, offset + length), shard) as (meta, landmarks, _):
        if not (np.abs(np.nan_to_num(landmarks, nan=0)) <= _MAX_LANDMARK_FRAMES * size).all():  # depth may be NaN
            raise BadInput(f"{shard}: landmarks far outside of {size}x{size} pixels; {REMEDY}")
        landmarks.setflags(write=False)
    extents, position = [], offset + length
    for count in meta["frame_bytes"]:
        extents.append((position + BLOCK, position + BLOCK + count))
        position += BLOCK + count + -count % BLOCK
    return _Head(meta, landmarks, extents)


@contextmanager
def _members(data: bytes, shard: str) -> Iterator[tuple[dict[str, Any], np.ndarray, Iterator[tuple[str, bytes]]]]:
    """Yields (meta, landmarks, iterator over the other members) of a sample's bytes."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            members = ((info.name, tar.extractfile(info).read()) for info in tar)  # type: ignore[union-attr]
            meta = json.loads(next(members)[1])
            landmarks = np.load(io.BytesIO(next(members)[1]), allow_pickle=False)
            _check_head(meta, landmarks)
            yield meta, landmarks, members
    except (*UNREADABLE_ARRAY, tarfile.TarError, LookupError, TypeError, AttributeError, StopIteration) as error:
        raise BadInput(f"{shard}: does not hold what the index says ({first_line(error)}); {REMEDY}") from error


def _check_head(meta: dict[str, Any], landmarks: np.ndarray) -> None:
    """Raises ValueError for metadata or landmarks that are not those of a sample."""
    sizes = meta["frame_bytes"]
    if landmarks.dtype != np.float32 or landmarks.shape not in [(len(sizes), *shape) for shape in _LANDMARK_SHAPES]:
        raise ValueError(f"landmarks {landmarks.dtype} of shape {landmarks.shape}")
    if not np.isfinite(landmarks[..., :2]).all():
        raise ValueError("landmarks with NaN or infinity")
    if not all(type(size) is int and 0 < size <= _MAX_FRAME_BYTES for size in sizes):
        raise ValueError("frames of impossible sizes")


def _check_length(shard: str, needed: int) -> None:
    """Raises BadInput if the shard is missing or has fewer bytes than needed."""
    try:
        system, inner = fsspec.core.url_to_fs(shard)
        length = system.size(inner)
    except FileNotFoundError as error:
        raise BadInput(f"{shard}: the index names it, but it is not there; {REMEDY}") from error
    except OSError as error:
        raise BadInput(f"{shard}: cannot be read ({first_line(error)}); check the address") from error
    if length is not None and length < needed:
        raise BadInput(f"{shard}: cut short, {length} bytes of at least {needed}; {REMEDY}")


def _fetch(shard: str, start: int, end: int) -> bytes:
    """Returns bytes [start, end) of a file, without state, from any thread or process."""
    try:
        system, inner = fsspec.core.url_to_fs(shard)
        return system.cat_file(inner, start=start, end=end)
    except OSError as error:
        raise BadInput(f"{shard}: cannot be read ({first_line(error)}); {REMEDY}") from error
