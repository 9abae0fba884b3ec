"""The index of prepared data: one JSON object a line, with the position and the facts of one clip. All are checked."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import fsspec

from fewshot_heads.errors import BadInput, first_line

INDEX = "index.jsonl"
REMEDY = "fetch it again, or prepare the data anew into another folder"
_WORDS = ("identity", "key", "kind", "source", "shard", "split")
# Least and largest whole numbers: bytes of a shard up to 1 TiB, of a clip up to 4 GiB, a million frames, pixels.
_NUMBERS = {
    "offset": (0, 1 << 40),
    "length": (1, 1 << 32),
    "head": (1, 1 << 32),
    "frames": (1, 1_000_000),
    "size": (16, 2048),
}


def read_index(root: str | Path) -> list[dict[str, Any]]:
    """Returns the rows of index.jsonl.

    Args:
        root: folder or fsspec URL.

    Raises:
        BadInput: the index is missing, unreadable or damaged.
    """
    path = f"{str(root).rstrip('/')}/{INDEX}"
    try:
        system, inner = fsspec.core.url_to_fs(path)
        text = system.cat_file(inner).decode()
    except FileNotFoundError as error:
        raise BadInput(
            f"{root}: no {INDEX} in it, so no prepared data; make it with python -m fewshot_heads.prepare IN {root}"
        ) from error
    except (OSError, ImportError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({first_line(error)}); check the address") from error
    try:
        rows = [json.loads(line) for line in text.splitlines()]
        for row in rows:
            _check_row(row)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"{path}: cut short or damaged ({first_line(error)}); {REMEDY}") from error
    return rows


def _check_row(row: dict[str, Any]) -> None:
    """Raises ValueError, KeyError or TypeError for a row that describes no clip."""
    for name in _WORDS:
        if not isinstance(row[name], str):
            raise ValueError(f"{name} is {row[name]!r:.40}")
    for name, (least, most) in _NUMBERS.items():
        if type(row[name]) is not int or not least <= row[name] <= most:
            raise ValueError(f"{name} is {row[name]!r:.40}")
    if row["head"] > row["length"]:
        raise ValueError("a head is longer than its clip")
    if not 0 <= row["seconds"] < math.inf:
        raise ValueError(f"seconds is {row['seconds']!r:.40}")
    if row["shard"] in ("", ".", "..") or set(row["shard"]) & set("/\\\0"):
        raise ValueError(f"the shard {row['shard']!r:.40} is not a file beside the index")
