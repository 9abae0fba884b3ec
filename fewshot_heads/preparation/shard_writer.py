"""Shards as they are written: whole or not at all, and the same bytes on every machine. See `shards`."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fewshot_heads.datasets.shards import BLOCK, Sample
from fewshot_heads.media.files import atomic_write_in

_END = bytes(2 * BLOCK)  # of a tar


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
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


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
            self._file = self._stack.enter_context(atomic_write_in(self._folder / self._name, self._scratch))
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
