"""Parts to shards: who is in each clip, which split that is, and the clips one after another."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fewshot_heads.datasets.shards import read_sample
from fewshot_heads.preparation.contact_sheet import ContactSheet
from fewshot_heads.preparation.identities import assign_splits, cluster
from fewshot_heads.preparation.shard_writer import ShardWriter, encode
from fewshot_heads.preparation.sources import Source, digest
from fewshot_heads.preparation.work_units import read_work_unit, tar_path

SPLITS = ("train", "val")
_MOST_TILES = 240
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackedClip:
    """A clip in a part, and whose it is."""

    source: Source
    number: int
    part: Path
    offset: int
    length: int
    embedding: list[float] | None
    identity: str = ""
    split: str = ""

    @property
    def key(self) -> str:
        """<identity>__<file>-<fingerprint of its path>-<shot>; without dots, and the same whatever else there is."""
        name = self.source.name.rpartition("/")[2]
        stem = name.rpartition(".")[0] or name
        return f"{_slug(self.identity)}__{_slug(stem)}-{digest(self.source.name, 10)}-{self.number:03d}"


def _slug(text: str) -> str:
    """Text that may stand in a key; what had to be changed gets a fingerprint. A tar's names end at 100 letters."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:24]
    return plain if plain == text else f"{plain}-{digest(text, 6)}".lstrip("-")


def collect(sources: Iterable[Source], folder: Path) -> tuple[list[PackedClip], list[dict[str, Any]], float]:
    """Every clip of the parts in `folder`, nameless so far, every reject, and the seconds of video there were."""
    clips: list[PackedClip] = []
    rejects: list[dict[str, Any]] = []
    seconds = 0.0
    for source in sources:
        part = read_work_unit(folder, source)
        seconds += part.seconds
        rejects += part.rejects
        for number, clip in enumerate(part.clips):
            place = clip["offset"], clip["length"], clip["embedding"]
            clips.append(PackedClip(source, number, tar_path(folder, source), *place))
    return clips, rejects, seconds


def assign_identities(clips: list[PackedClip], how: str, same_person: float) -> list[PackedClip]:
    """The clips with their identities: the folder's, else by face where there are embeddings, else one a file.

    how: "auto", "folder", "cluster" or "file".
    """
    nameless = [clip for clip in clips if clip.source.identity is None]
    by_face = [clip for clip in nameless if clip.embedding]
    if nameless and not by_face and how == "auto":
        _log.warning(
            "%d files lie in no folder that names a person, so each counts as a person of its own; sort them into one "
            "folder a person, or group them by face with face_network=FILE",
            len({clip.source.name for clip in nameless}),
        )
    people = cluster(np.array([clip.embedding for clip in by_face]), same_person)
    faces = {(clip.source.name, clip.number): f"person-{who:04d}" for clip, who in zip(by_face, people, strict=True)}

    def identity(clip: PackedClip) -> str:
        return clip.source.identity or faces.get((clip.source.name, clip.number)) or clip.source.name

    return [replace(clip, identity=identity(clip)) for clip in clips]


def assign_splits_to_clips(clips: list[PackedClip], val_share: float, seed: int) -> list[PackedClip]:
    """The clips with their splits, in the order they are packed: by split, person, file."""
    given: dict[str, set[str | None]] = {}
    for clip in clips:
        given.setdefault(clip.identity, set()).add(clip.source.split)
    torn = [identity for identity, splits in given.items() if len(splits) > 1]
    if torn:
        _log.warning("%d people, such as %s, lie in folders of several splits; they are split anew", len(torn), torn[0])
    agreed = {identity: next(iter(splits)) if len(splits) == 1 else None for identity, splits in given.items()}
    splits = assign_splits(agreed, val_share, seed)
    for split in SPLITS:
        if split not in splits.values() and val_share > 0:
            other = "val" if split == "train" else "train"
            _log.warning(
                "no one is left for %s: all %d people are in %s; prepare more people", split, len(splits), other
            )
    clips = [replace(clip, split=splits[clip.identity]) for clip in clips]
    return sorted(clips, key=lambda clip: (clip.split, clip.identity, clip.source.name, clip.number))


def write_shards(
    clips: list[PackedClip], out: Path, scratch: Path, max_bytes: int
) -> tuple[list[dict[str, Any]], bytes]:
    """Writes the shards; returns the rows of the index and the contact sheet as PNG."""
    rows = []
    sheet, shown = ContactSheet(), set(np.linspace(0, len(clips) - 1, min(_MOST_TILES, len(clips))).astype(int))
    numbered = list(enumerate(clips))
    for split in SPLITS:
        mine = [(number, clip) for number, clip in numbered if clip.split == split]
        with ShardWriter(out, scratch, split, max_bytes) as shards:
            for number, clip in tqdm(mine, f"pack {split}", disable=None, unit="clip", leave=False):
                sample = read_sample(str(clip.part), clip.offset, clip.length)
                sample = sample._replace(meta={"identity": clip.identity, **sample.meta})
                encoded, head = encode(clip.key, sample)
                rows.append(_row(clip, sample.meta, len(sample.jpegs), shards.add(encoded), len(encoded), head))
                if number in shown:
                    note = f"{len(sample.jpegs)} frames, face {sample.meta['face']:.0f}"
                    sheet.add(sample, f"{split} {clip.identity}", note)
    return rows, sheet.png()


def _row(
    clip: PackedClip, meta: Mapping[str, Any], frames: int, place: tuple[str, int], length: int, head: int
) -> dict[str, Any]:
    return {
        "identity": clip.identity,
        "split": clip.split,
        "key": clip.key,
        "shard": place[0],
        "offset": place[1],
        "length": length,
        "head": head,  # bytes of it before the first frame
        "frames": frames,
        "seconds": round(frames / meta["rate"], 3) if clip.source.kind == "video" else 0.0,
        "size": meta["size"],
        "source": clip.source.name,
        "kind": clip.source.kind,
    }
