"""Reads the index of a folder with several pictures per person, grouped by recording.

The file index.tsv has a row a picture, with the columns path, identity, split and recording, and perhaps kind, yaw,
pitch and roll (degrees, empty without a face). Other columns are ignored. Pictures of one recording show one person in
one light before one background, so they may be paired.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fewshot_heads.errors import BadInput, first_line

PEOPLE_INDEX = "index.tsv"
_COLUMNS = ("path", "identity", "split", "recording")
_SPLITS = ("train", "val")


@dataclass(frozen=True)
class IndexedPicture:
    """A row of the index.

    Attributes:
        path: of the file below the root.
        identity: name of the person.
        split: "train" or "val".
        recording: name of the pictures that may be paired.
        kind: how the picture came about, in words; empty if unknown.
        angles: yaw, pitch and roll of the head, degrees; None if unknown.
    """

    path: str
    identity: str
    split: str
    recording: str
    kind: str
    angles: tuple[float, float, float] | None


def read_people_index(root: Path) -> list[IndexedPicture]:
    """Returns the rows of root/index.tsv, in their order.

    Args:
        root: folder of pictures.

    Raises:
        BadInput: there is no index, a column is missing, or a row cannot be read.
    """
    index = root / PEOPLE_INDEX
    if not index.is_file():
        raise BadInput(f"{root}: has no {PEOPLE_INDEX}; it lists {', '.join(_COLUMNS)} of each picture")
    pictures = []
    try:
        with index.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            if missing := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
                raise BadInput(f"{index}: has no column {missing[0]!r}; it needs {', '.join(_COLUMNS)}, tab-separated")
            for row in reader:
                pictures.append(_picture(row))
    except BadInput:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"{index}, line {len(pictures) + 2}: {first_line(error)}; correct the index") from error
    if not pictures:
        raise BadInput(f"{index}: lists no pictures; add a row a picture")
    return pictures


def _picture(row: dict[str, str | None]) -> IndexedPicture:
    path, identity, split, recording = (row[column] or "" for column in _COLUMNS)
    if not (path and identity and recording):
        raise ValueError("path, identity and recording must not be empty")
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path} lies outside of the folder")
    if split not in _SPLITS:
        raise ValueError(f"split {split!r}, expected {' or '.join(_SPLITS)}")
    angles = [row.get(name) or "" for name in ("yaw", "pitch", "roll")]
    pose = None if "" in angles else (float(angles[0]), float(angles[1]), float(angles[2]))
    if pose and not all(map(math.isfinite, pose)):
        raise ValueError("an angle is no number, expected degrees")
    return IndexedPicture(path, identity, split, recording, row.get("kind") or "", pose)
