"""Finds videos and images in a folder, and the people that the paths name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath

from fewshot_heads.errors import BadInput
from fewshot_heads.media.images import PICTURES
from fewshot_heads.media.video_reader import VIDEOS
from fewshot_heads.preparation.people import PEOPLE_INDEX, read_people_index

# Folders that sort files, not people. They count at the start of a path only: a person may be called "Data".
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_SPLITS["test"] = "val"  # people set aside for tests must never be trained on
_LAYOUT = {*_SPLITS, "dev", "mp4", "video", "videos", "clips", "data", "images", "frames", "faces"}
_LAYOUT |= {"vox1", "vox2", "voxceleb1", "voxceleb2", "unzippedfaces", "unzippedintervalfaces"}
_VOXCELEB = re.compile(r"id\d{5}")


@dataclass(frozen=True)
class Source:
    """One video, or the images of one folder.

    Attributes:
        name: path of the file or folder below the root.
        kind: "video" or "stills".
        files: files to read, paths below the root.
        bytes: size of each file.
        identity: the person that the folders name; None if they name no one.
        split: "train" or "val" if the folders say so, else None.
    """

    name: str
    kind: str
    files: tuple[str, ...]
    bytes: tuple[int, ...]
    identity: str | None
    split: str | None

    @cached_property
    def digest(self) -> str:
        """Fingerprint of names and sizes.

        A file that was still being downloaded has another fingerprint than the complete file.
        """
        return digest([self.name, self.files, self.bytes])


def digest(value: object, length: int = 16) -> str:
    """Returns a hexadecimal fingerprint that is the same on every machine.

    Args:
        value: anything that JSON can write.
        length: number of digits, 1 to 64.
    """
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:length]


def find_sources(root: Path, people_in_folders: bool = True, skip: Path | None = None) -> list[Source]:
    """Returns every source below root, in the order of names. Hidden files are ignored.

    In a folder with an index of people, each recording is a source, see `people`.

    Args:
        root: folder of footage.
        people_in_folders: the images of a person's folder are one source. Otherwise each image is its own source.
        skip: folder to leave out.

    Raises:
        BadInput: the folder does not exist, has no videos or images, or its index cannot be read.
    """
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; give a folder of videos, or of one folder of pictures a person")
    if people_in_folders and (root / PEOPLE_INDEX).is_file():
        return _recordings(root)
    sources = []
    files = sorted(_files(root, skip))
    for folder, group in groupby(files, key=lambda file: file.parent):
        names = list(group)
        identity, split = _identity_and_split(folder)
        identity = identity if people_in_folders else None
        images = [name for name in names if name.suffix.lower() in PICTURES]
        found = [(str(name), "video", [name]) for name in names if name.suffix.lower() in VIDEOS]
        if identity is None:
            found += [(str(name), "stills", [name]) for name in images]
        elif images:
            found.append((str(folder), "stills", images))
        for name, kind, members in found:
            sizes = tuple((root / member).stat().st_size for member in members)
            sources.append(Source(name, kind, tuple(map(str, members)), sizes, identity, split))
    if not sources:
        raise BadInput(f"{root}: no videos or pictures in this folder; expected mp4, mov, webm, jpg, png and the like")
    return sorted(sources, key=lambda source: source.name)


def _recordings(root: Path) -> list[Source]:
    """Returns a source for each recording of a folder with an index of people."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for picture in read_people_index(root):
        if not (root / picture.path).is_file():
            raise BadInput(f"{root / PEOPLE_INDEX}: lists {picture.path}, which is not there; get a whole copy")
        groups.setdefault((picture.identity, picture.recording, picture.split), []).append(picture.path)
    sources = []
    for (identity, recording, split), files in groups.items():
        sizes = tuple((root / file).stat().st_size for file in files)
        sources.append(Source(f"{identity}/{recording}", "stills", tuple(files), sizes, identity, split))
    return sorted(sources, key=lambda source: source.name)


def _files(root: Path, skip: Path | None) -> Iterator[PurePosixPath]:
    """Yields relative paths of videos and images below root.

    Linked folders are followed, each target once.
    """
    visited = {os.path.realpath(root), *([os.path.realpath(skip)] if skip else [])}
    for current, subfolders, names in os.walk(root, followlinks=True):
        folder = Path(current)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        targets = {name: os.path.realpath(folder / name) for name in subfolders}
        subfolders[:] = [name for name in subfolders if targets[name] not in visited]
        visited |= set(targets.values())
        for name in names:
            is_footage = not name.startswith(".") and Path(name).suffix.lower() in VIDEOS | PICTURES
            if is_footage and (folder / name).is_file():
                yield PurePosixPath((folder / name).relative_to(root).as_posix())


def _identity_and_split(folder: PurePosixPath) -> tuple[str | None, str | None]:
    """Returns the (identity, split) that the folders name; None where they name none.

    The identity is VoxCeleb's, such as id00012, wherever it is. Otherwise it is the first folder that sorts no files.
    """
    names = list(folder.parts)
    split = None
    while names and names[0].lower() in _LAYOUT:
        split = _SPLITS.get(names.pop(0).lower(), split)
    voxceleb = next((name for name in names if _VOXCELEB.fullmatch(name)), None)
    return voxceleb or (names[0] if names else None), split
