"""Writes shards atomically, with the same bytes on every machine. `datasets.shards` describes the format."""

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

_TAR_END = bytes(2 * BLOCK)


def encode(key: str, sample: Sample) -> tuple[bytes, int]:
    """Returns a sample as tar members, and the number of bytes before the first frame.

    Args:
        key: name of the sample, without dots.
        sample: the clip.

    Raises:
        ValueError: the key has a dot.
    """
    if "." in key:
        raise ValueError(f"key {key}: WebDataset ends a key at its first dot")
    meta = {**sample.meta, "frame_bytes": [len(jpeg) for jpeg in sample.jpegs]}
    array = io.BytesIO()
    np.save(array, sample.landmarks.astype(np.float32))
    head = _member(f"{key}.json", json.dumps(meta).encode()) + _member(f"{key}.landmarks.npy", array.getvalue())
    frames = [_member(f"{key}.{number:04d}.jpg", jpeg) for number, jpeg in enumerate(sample.jpegs)]
    return b"".join([head, *frames]), len(head)


def _member(name: str, data: bytes) -> bytes:
    """Returns header and padded data of one tar member.

    Owner, time and mode are constant. The same clip has the same bytes on every machine.
    """
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


class ShardWriter:
    """Context manager that writes `<prefix>-000000.tar`, `<prefix>-000001.tar` ...; each appears when complete."""

    def __init__(self, folder: Path, scratch: Path, prefix: str, max_bytes: int):
        """Opens no file yet.

        Args:
            folder: for the shards.
            scratch: folder on the same disk, for the unfinished shard.
            prefix: first part of the file names.
            max_bytes: size that a shard may reach. A shard of one sample may exceed this size.
        """
        self._folder, self._scratch, self._prefix, self._max_bytes = folder, scratch, prefix, max_bytes
        self._stack, self._count = ExitStack(), 0
        self._file: BinaryIO | None = None

    def add(self, encoded: bytes) -> tuple[str, int]:
        """Appends one sample; returns the name of the shard and the offset in bytes.

        Args:
            encoded: the sample, see `encode`.
        """
        if self._file and self._file.tell() + len(encoded) + len(_TAR_END) > self._max_bytes:
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
        """Completes the open shard, if there is one."""
        if self._file:
            self._file.write(_TAR_END)
            self._stack.close()
            self._file, self._count = None, self._count + 1

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with self._stack:  # removes the unfinished shard after any error
            if error:
                raise error
            self._end()
