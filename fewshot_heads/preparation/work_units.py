"""Work units: the clips of one source, stored until all sources are packed.

A work unit is complete or absent. An interrupted run is resumed with the missing units.
"""

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
    """The result of one source.

    Attributes:
        clips: of each clip "offset" and "length" (bytes of its sample in the tar), "frames" (their number) and
            "embedding" ([E] or None).
        rejects: the fields of each `Reject` that are not None.
        seconds: length of the video that was read.
    """

    clips: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class WorkUnitMaker:
    """Callable that makes the work unit of a source; may be pickled to any process.

    Attributes:
        root: folder of footage.
        folder: for the work units.
        filters: form of the clips and conditions that they must meet.
        landmarks: options of `landmarks.detector`, as (name, value).
        face_network: file of weights that embed faces, or None.
    """

    root: Path
    folder: Path
    filters: Filters
    landmarks: tuple[tuple[str, Any], ...]
    face_network: str | None

    def __call__(self, source: Source) -> None:
        """Makes and writes the work unit of one source."""
        # Outside of `shots`, which turns errors into rejects: missing weights must end the run.
        segmenter = _segmenter(self.filters, self.landmarks, self.face_network)
        write_work_unit(self.folder, source, segmenter.shots(self.root, source), segmenter)

    def done(self, source: Source) -> bool:
        """Returns whether the work unit of the source is complete."""
        return _facts_path(self.folder, source).exists()


@lru_cache(maxsize=1)
def _segmenter(filters: Filters, landmarks: tuple[tuple[str, Any], ...], face_network: str | None) -> ShotSegmenter:
    """Returns one segmenter for the whole process: loading a detector takes a second."""
    return ShotSegmenter(filters, detector(**dict(landmarks)), MobileFaceNet(face_network) if face_network else None)


def write_work_unit(
    folder: Path, source: Source, shots: Iterable[Shot | Reject], segmenter: ShotSegmenter | None = None
) -> None:
    """Writes the clips as a tar, then the facts, which mark the unit as complete.

    Args:
        folder: for the work units.
        source: the source of the shots.
        shots: shots and rejects, consumed one after another.
        segmenter: knows the seconds of video that were read; None means 0 seconds.
    """
    clips, rejects = [], []
    with atomic_write_in(tar_path(folder, source), folder) as file:
        for shot in shots:
            if isinstance(shot, Reject):
                rejects.append({key: value for key, value in asdict(shot).items() if value is not None})
                continue
            data, _ = encode("clip", shot.sample)
            clips.append(
                {
                    "offset": file.tell(),
                    "length": len(data),
                    "frames": len(shot.sample.jpegs),
                    "embedding": shot.embedding,
                }
            )
            file.write(data)
    seconds = segmenter.seconds if segmenter else 0.0
    with atomic_write_in(_facts_path(folder, source), folder) as file:
        file.write(json.dumps({"clips": clips, "rejects": rejects, "seconds": seconds}).encode())


def read_work_unit(folder: Path, source: Source) -> WorkUnit:
    """Returns the finished work unit of a source."""
    return WorkUnit(**json.loads(_facts_path(folder, source).read_bytes()))


def tar_path(folder: Path, source: Source) -> Path:
    """Returns the path of the tar with the clips of a source."""
    return folder / f"{source.digest}.tar"


def _facts_path(folder: Path, source: Source) -> Path:
    return folder / f"{source.digest}.json"
