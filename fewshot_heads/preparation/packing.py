"""Packs the clips of all work units into shards with identities and splits."""

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
_MAX_SHEET_TILES = 240  # 20 rows of the contact sheet
_MAX_SLUG_CHARACTERS = 24  # a key has two slugs; names in a tar end at 100 characters
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackedClip:
    """A clip in the tar of a work unit, with its identity and split.

    Attributes:
        source: the source that the clip was cut from.
        number: index of the clip within its source.
        tar: path of the work unit's tar.
        offset: first byte of the sample in the tar.
        length: bytes of the sample.
        embedding: face embedding, [E]; None without a face network.
        identity: name of the person; empty until `assign_identities`.
        split: "train" or "val"; empty until `assign_splits_to_clips`.
    """

    source: Source
    number: int
    tar: Path
    offset: int
    length: int
    embedding: list[float] | None
    identity: str = ""
    split: str = ""

    @property
    def key(self) -> str:
        """Name of the sample: <identity>__<file>-<fingerprint of the path>-<number>.

        The key has no dots. It does not depend on the other clips.
        """
        name = self.source.name.rpartition("/")[2]
        stem = name.rpartition(".")[0] or name
        return f"{_slug(self.identity)}__{_slug(stem)}-{digest(self.source.name, 10)}-{self.number:03d}"


def _slug(text: str) -> str:
    """Returns text that may be part of a key.

    A changed text ends in a fingerprint of the original.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:_MAX_SLUG_CHARACTERS]
    return plain if plain == text else f"{plain}-{digest(text, 6)}".lstrip("-")


def collect(sources: Iterable[Source], folder: Path) -> tuple[list[PackedClip], list[dict[str, Any]], float]:
    """Returns clips, rejects, and seconds of video of all work units.

    Args:
        sources: the sources, in the order of the result.
        folder: holds one finished work unit for each source.
    """
    clips: list[PackedClip] = []
    rejects: list[dict[str, Any]] = []
    seconds = 0.0
    for source in sources:
        unit = read_work_unit(folder, source)
        seconds += unit.seconds
        rejects += unit.rejects
        for number, clip in enumerate(unit.clips):
            sample = clip["offset"], clip["length"], clip["embedding"]
            clips.append(PackedClip(source, number, tar_path(folder, source), *sample))
    return clips, rejects, seconds


def assign_identities(clips: list[PackedClip], rule: str, identity_threshold: float) -> list[PackedClip]:
    """Returns the clips with their identities.

    The identity comes from the folder, else from the face embedding, else from the name of the file.

    Args:
        clips: the clips of all sources.
        rule: "auto", "folder", "cluster" or "file"; key `identity` of conf/prepare.yaml.
        identity_threshold: see `cluster`.
    """
    nameless = [clip for clip in clips if clip.source.identity is None]
    embedded = [clip for clip in nameless if clip.embedding]
    if nameless and not embedded and rule == "auto":
        _log.warning(
            "%d files lie in no folder that names a person, so each counts as a person of its own; sort them into one "
            "folder a person, or group them by face with face_network=FILE",
            len({clip.source.name for clip in nameless}),
        )
    people = cluster(np.array([clip.embedding for clip in embedded]), identity_threshold)
    clustered = {
        (clip.source.name, clip.number): f"person-{person:04d}" for clip, person in zip(embedded, people, strict=True)
    }

    def identity(clip: PackedClip) -> str:
        return clip.source.identity or clustered.get((clip.source.name, clip.number)) or clip.source.name

    return [replace(clip, identity=identity(clip)) for clip in clips]


def assign_splits_to_clips(clips: list[PackedClip], val_fraction: float, seed: int) -> list[PackedClip]:
    """Returns the clips with their splits in the order of packing: split, person, file.

    Args:
        clips: clips with identities.
        val_fraction: see `assign_splits`.
        seed: see `assign_splits`.
    """
    given: dict[str, set[str | None]] = {}
    for clip in clips:
        given.setdefault(clip.identity, set()).add(clip.source.split)
    divided = [identity for identity, splits in given.items() if len(splits) > 1]
    if divided:
        _log.warning(
            "%d people, such as %s, lie in folders of several splits; they are split anew", len(divided), divided[0]
        )
    agreed = {identity: next(iter(splits)) if len(splits) == 1 else None for identity, splits in given.items()}
    splits = assign_splits(agreed, val_fraction, seed)
    for split in SPLITS:
        if split not in splits.values() and val_fraction > 0:
            other = "val" if split == "train" else "train"
            _log.warning(
                "no one is left for %s: all %d people are in %s; prepare more people", split, len(splits), other
            )
    clips = [replace(clip, split=splits[clip.identity]) for clip in clips]
    return sorted(clips, key=lambda clip: (clip.split, clip.identity, clip.source.name, clip.number))


def write_shards(
    clips: list[PackedClip], out: Path, scratch: Path, max_bytes: int
) -> tuple[list[dict[str, Any]], bytes]:
    """Writes the shards; returns the rows of the index and the contact sheet as PNG.

    Args:
        clips: clips with identities and splits, in the order of packing.
        out: folder for the shards.
        scratch: folder on the same disk, for unfinished files.
        max_bytes: size that a shard may reach. A shard of one sample may exceed this size.
    """
    rows = []
    sheet = ContactSheet()
    sheet_numbers = set(np.linspace(0, len(clips) - 1, min(_MAX_SHEET_TILES, len(clips))).astype(int))
    numbered = list(enumerate(clips))
    for split in SPLITS:
        split_clips = [(number, clip) for number, clip in numbered if clip.split == split]
        with ShardWriter(out, scratch, split, max_bytes) as shards:
            for number, clip in tqdm(split_clips, f"pack {split}", disable=None, unit="clip", leave=False):
                sample = read_sample(str(clip.tar), clip.offset, clip.length)
                sample = sample._replace(meta={"identity": clip.identity, **sample.meta})
                encoded, head = encode(clip.key, sample)
                rows.append(_row(clip, sample.meta, len(sample.jpegs), shards.add(encoded), len(encoded), head))
                if number in sheet_numbers:
                    note = f"{len(sample.jpegs)} frames, face {sample.meta['face']:.0f}"
                    sheet.add(sample, f"{split} {clip.identity}", note)
    return rows, sheet.png()


def _row(
    clip: PackedClip, meta: Mapping[str, Any], frames: int, position: tuple[str, int], length: int, head: int
) -> dict[str, Any]:
    """Returns the row of one clip in the index.

    Args:
        clip: the clip.
        meta: its metadata.
        frames: number of its frames.
        position: (name of the shard, first byte of the sample).
        length: bytes of the sample.
        head: bytes of the sample before the first frame.
    """
    return {
        "identity": clip.identity,
        "split": clip.split,
        "key": clip.key,
        "shard": position[0],
        "offset": position[1],
        "length": length,
        "head": head,
        "frames": frames,
        "seconds": round(frames / meta["rate"], 3) if clip.source.kind == "video" else 0.0,
        "size": meta["size"],
        "source": clip.source.name,
        "kind": clip.source.kind,
    }
