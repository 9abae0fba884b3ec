"""Parts: what one source gave, kept until all is packed. A part is whole or not there, so a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fewshot_heads.features.mobilefacenet import MobileFaceNet
from fewshot_heads.landmarks import detector
from fewshot_heads.media.files import atomic_write_in
from fewshot_heads.preparation.filters import Filters, Reject
from fewshot_heads.preparation.shard_writer import encode
from fewshot_heads.preparation.shots import Shot, ShotSegmenter
from fewshot_heads.preparation.sources import Source


@dataclass(frozen=True)
class WorkUnit:
    """What one source gave.

    clips: for each the offset and length of its sample in the part's tar, its facts and its embedding [E] or None.
    rejects: what was left out. seconds: of video looked at.
    """

    clips: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class WorkUnitMaker:
    """Call it with a source to make its part; goes to any process.

    landmarks: the options of `landmarks.detector`. face_network: weights that embed faces, or None.
    """

    root: Path
    folder: Path
    limits: Filters
    landmarks: tuple[tuple[str, Any], ...]
    face_network: str | None

    def __call__(self, source: Source) -> None:
        # Outside of what a bad file may do: a missing network is everybody's error.
        cutter = _cutter(self.limits, self.landmarks, self.face_network)
        write_work_unit(self.folder, source, cutter.shots(self.root, source), cutter)

    def done(self, source: Source) -> bool:
        return _facts_path(self.folder, source).exists()


@lru_cache(maxsize=1)
def _cutter(limits: Filters, landmarks: tuple[tuple[str, Any], ...], face_network: str | None) -> ShotSegmenter:
    """One a process: a detector takes a second to make."""
    return ShotSegmenter(limits, detector(**dict(landmarks)), MobileFaceNet(face_network) if face_network else None)


def write_work_unit(
    folder: Path, source: Source, found: Iterable[Shot | Reject], cutter: ShotSegmenter | None = None
) -> None:
    """Writes the tar with the clips, then the facts, which say that the part is whole."""
    clips, rejects = [], []
    with atomic_write_in(tar_path(folder, source), folder) as file:
        for each in found:
            if isinstance(each, Reject):
                rejects.append({key: value for key, value in asdict(each).items() if value is not None})
                continue
            data, _ = encode("clip", each.sample)
            clips.append(
                {
                    "offset": file.tell(),
                    "length": len(data),
                    "frames": len(each.sample.jpegs),
                    "embedding": each.embedding,
                }
            )
            file.write(data)
    seconds = cutter.seconds if cutter else 0.0
    with atomic_write_in(_facts_path(folder, source), folder) as file:
        file.write(json.dumps({"clips": clips, "rejects": rejects, "seconds": seconds}).encode())


def read_work_unit(folder: Path, source: Source) -> WorkUnit:
    return WorkUnit(**json.loads(_facts_path(folder, source).read_bytes()))


def tar_path(folder: Path, source: Source) -> Path:
    return folder / f"{source.digest}.tar"


def _facts_path(folder: Path, source: Source) -> Path:
    return folder / f"{source.digest}.json"
