"""What a folder of raw footage holds: videos and folders of pictures, and whom their paths say they show."""

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

# Folders that sort files, not people; only in front of a path, so a person may still be called "Data".
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_SPLITS["test"] = "val"  # whoever was set aside for tests must never be trained on
_LAYOUT = {*_SPLITS, "dev", "mp4", "video", "videos", "clips", "data", "images", "frames", "faces"}
_LAYOUT |= {"vox1", "vox2", "voxceleb1", "voxceleb2", "unzippedfaces", "unzippedintervalfaces"}
_VOXCELEB = re.compile(r"id\d{5}")


@dataclass(frozen=True)
class Source:
    """One video, or the pictures of one folder.

    name: its path below the root. files: what to read, paths below the root, and their sizes in bytes.
    identity: the person its folders name, or None. split: "train" or "val" if its folders say so.
    """

    name: str
    kind: str  # "video" or "stills"
    files: tuple[str, ...]
    bytes: tuple[int, ...]
    identity: str | None
    split: str | None

    @cached_property
    def digest(self) -> str:
        """Changes with the files, so work done on half a download is not taken for work on the whole."""
        return digest([self.name, self.files, self.bytes])


def digest(value: object, length: int = 16) -> str:
    """Hexadecimal fingerprint of anything JSON can write, the same on every machine."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:length]


def find_sources(root: Path, people_in_folders: bool = True, skip: Path | None = None) -> list[Source]:
    """Every source below root, in the order of names; hidden files and the folder `skip` are left out.

    people_in_folders: the pictures of a person's folder are one source; otherwise, and where no folder names a
    person, each picture is a source of its own. Raises BadInput if there is nothing.
    """
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; give a folder of videos, or of one folder of pictures a person")
    sources = []
    files = sorted(_files(root, skip))
    for folder, group in groupby(files, key=lambda file: file.parent):
        names = list(group)
        identity, split = _from_path(folder)
        identity = identity if people_in_folders else None
        pictures = [name for name in names if name.suffix.lower() in PICTURES]
        alone = [(str(name), "video", [name]) for name in names if name.suffix.lower() in VIDEOS]
        if identity is None:
            alone += [(str(name), "stills", [name]) for name in pictures]
        elif pictures:
            alone.append((str(folder), "stills", pictures))
        for name, kind, members in alone:
            sizes = tuple((root / member).stat().st_size for member in members)
            sources.append(Source(name, kind, tuple(map(str, members)), sizes, identity, split))
    if not sources:
        raise BadInput(f"{root}: no videos or pictures in this folder; expected mp4, mov, webm, jpg, png and the like")
    return sorted(sources, key=lambda source: source.name)


def _files(root: Path, skip: Path | None) -> Iterator[PurePosixPath]:
    """Videos and pictures below root, relative to it. Linked folders are followed, each place once."""
    seen = {os.path.realpath(root), *([os.path.realpath(skip)] if skip else [])}
    for folder, below, names in os.walk(root, followlinks=True):
        here = Path(folder)
        below[:] = sorted(name for name in below if not name.startswith("."))
        places = {name: os.path.realpath(here / name) for name in below}
        below[:] = [name for name in below if places[name] not in seen]
        seen |= set(places.values())
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEOS | PICTURES and (here / name).is_file():
                yield PurePosixPath((here / name).relative_to(root).as_posix())


def _from_path(folder: PurePosixPath) -> tuple[str | None, str | None]:
    """(identity, split) as the folders name them: VoxCeleb's id00012 anywhere, else the first that is no layout."""
    parts = list(folder.parts)
    split = None
    while parts and parts[0].lower() in _LAYOUT:
        split = _SPLITS.get(parts.pop(0).lower(), split)
    voxceleb = next((part for part in parts if _VOXCELEB.fullmatch(part)), None)
    return voxceleb or (parts[0] if parts else None), split
