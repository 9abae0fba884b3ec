"""Footage of people, and the cases that each protocol makes of it."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads import read_image, read_video
from fewshot_heads.datasets.shard_index import INDEX
from fewshot_heads.datasets.shards import ShardClip, open_shards
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.imaging.resizing import resized
from fewshot_heads.landmarks import Detector
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.media.images import PICTURES

PROTOCOLS = ("self_reenactment", "cross_reenactment", "identity_round_trip", "paintings", "turned")
_SOURCE_POOL = 32  # frames of a clip that may be sources; the compared frames are then equal for every k_shot


@dataclass(frozen=True)
class Footage:
    """Head crops of one identity, read on access.

    Attributes:
        identity: name of the person.
        name: unique name of the clip.
        origin: a clip in a shard, a video of head crops, an image from which the head is cropped, or images that are
            square crops already.
    """

    identity: str
    name: str
    origin: Path | ShardClip | tuple[Path, ...]

    def frames(self, size: int, detector: Detector) -> np.ndarray:
        """Returns the frames, uint8 [T, size, size, 3].

        Args:
            size: expected side, pixels. An image is cropped to this size.
            detector: finds the head in an image.

        Raises:
            BadInput: the footage has another size.
            NoFaceFound: an image shows no face.
        """
        if isinstance(self.origin, ShardClip):
            frames = np.stack(list(self.origin.frames))
        elif isinstance(self.origin, tuple):
            frames = np.stack([resized(read_image(path), size) for path in self.origin])
        elif self.origin.suffix.lower() in PICTURES:
            image = read_image(self.origin)
            faces = detector.detect(image)
            if not faces:
                raise NoFaceFound(f"{self.origin.name}: no face found")
            frames = Crop.around(faces[:1], size).cut(image)[None]
        else:
            frames = np.stack(list(read_video(self.origin)))
        if frames.shape[1:3] != (size, size):
            raise BadInput(f"{self.name}: {frames.shape[2]}x{frames.shape[1]} px, expected head crops of {size}x{size}")
        return frames

    @property
    def files(self) -> tuple[Path | str, ...]:
        """The files that hold the footage."""
        if isinstance(self.origin, tuple):
            return self.origin
        return (self.origin.shard if isinstance(self.origin, ShardClip) else self.origin,)


@dataclass(frozen=True)
class Case:
    """One measurement: a source of k_shot images, animated by a driver.

    The true frames are known where source and driver are the same footage.
    """

    protocol: str
    k_shot: int
    source: Footage
    driver: Footage

    @property
    def name(self) -> str:
        """Name of the source, and of the driver if that is other footage."""
        return self.source.name if self.source == self.driver else f"{self.source.name} by {self.driver.name}"

    @property
    def slug(self) -> str:
        """Name of the case's files: readable and unique."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-")[:80]
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:6]
        return f"{self.protocol}-{self.k_shot}-{plain}-{digest}"


def find_clips(root: str | Path, split: str = "val") -> list[Footage]:
    """Returns the clips of a folder, sorted by identity and name.

    Args:
        root: folder that `prepare` wrote, or of <identity>/<name>.mp4.
        split: of prepared data.

    Raises:
        BadInput: the folder has no clips.
    """
    root = Path(root)
    if (root / INDEX).is_file():
        clips = [Footage(clip.identity, clip.name, clip) for clip in open_shards(root, split)]
    else:
        clips = [Footage(path.parent.name, f"{path.parent.name}/{path.stem}", path) for path in root.glob("*/*.mp4")]
    if not clips:
        raise BadInput(f"{root}: neither <identity>/<name>.mp4 nor a split '{split}' that prepare wrote")
    return sorted(clips, key=lambda clip: (clip.identity, clip.name))


def find_portraits(root: str | Path) -> list[Footage]:
    """Returns the images of a folder. Raises BadInput if there are none."""
    paths = sorted(path for path in Path(root).glob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise BadInput(f"{root}: no pictures in it")
    return [Footage(path.stem, path.stem, path) for path in paths]


def fingerprint(footage: Sequence[Footage]) -> str:
    """Returns the sha256 over the names and the files of all footage."""
    paths = {path for clip in footage for path in clip.files}
    files = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}
    lines = (f"{clip.name} {' '.join(files[path] for path in clip.files)}\n" for clip in footage)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def make_cases(
    clips: Sequence[Footage], portraits: Sequence[Footage], turned: Sequence[Case], chosen: Mapping[str, Any]
) -> list[Case]:
    """Returns the cases of the chosen protocols, in their order.

    Args:
        clips: footage of people.
        portraits: images for the protocol "paintings".
        turned: the cases of the protocol "turned".
        chosen: settings of conf/benchmark.yaml. The seed chooses the drivers of each source.

    Raises:
        BadInput: an unknown protocol.
    """
    if unknown := set(chosen["protocols"]) - set(PROTOCOLS):
        raise BadInput(f"protocols: there is no {unknown.pop()!r}; there is {', '.join(PROTOCOLS)}")
    by_identity: dict[str, list[Footage]] = {}
    for clip in clips:
        by_identity.setdefault(clip.identity, []).append(clip)
    people = list(by_identity)[: chosen["max_identities"] or None]
    kept = [clip for person in people for clip in by_identity[person][: chosen["max_clips_per_identity"] or None]]
    firsts = [by_identity[person][0] for person in people]

    def drivers(source: Footage) -> list[Footage]:
        others = [clip for clip in kept if clip.identity != source.identity]
        count = min(chosen["drivers"], len(others))
        return random.Random(f"{chosen['seed']} {source.name}").sample(others, count)

    cases = {
        "self_reenactment": [Case("self_reenactment", k, clip, clip) for k in chosen["k_shots"] for clip in kept],
        "cross_reenactment": [Case("cross_reenactment", 1, clip, other) for clip in firsts for other in drivers(clip)],
        "identity_round_trip": [Case("identity_round_trip", 1, clip, clip) for clip in firsts],
        "paintings": [Case("paintings", 1, portrait, clip) for portrait in portraits for clip in drivers(portrait)],
        "turned": list(turned),
    }
    return [case for protocol in chosen["protocols"] for case in cases[protocol]]


def choose_frames(total: int, k_shot: int, count: int, sequence_length: int) -> tuple[list[int], list[int], list[int]]:
    """Returns indices of sources, compared frames, and consecutive frames from the middle.

    The compared frames are the same for every k_shot, and never a source. A short clip gives fewer of each.

    Args:
        total: frames of the clip.
        k_shot: number of sources.
        count: number of compared frames.
        sequence_length: number of consecutive frames.

    Raises:
        BadInput: no frame is left to compare.
    """
    pool = _evenly(np.arange(total), min(_SOURCE_POOL, (total + 1) // 2))
    free = np.setdiff1d(np.arange(total), pool)
    if len(free) == 0:
        raise BadInput(f"a clip of {total} frames leaves none to compare beside its sources")
    start = max(0, (total - sequence_length) // 2)
    sources = pool[:1] if k_shot == 1 else _evenly(pool, k_shot)
    return sources.tolist(), _evenly(free, count).tolist(), list(range(start, min(start + sequence_length, total)))


def _evenly(indices: np.ndarray, count: int) -> np.ndarray:
    """Returns at most `count` of the indices, evenly spaced."""
    return indices[np.unique(np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int))]
