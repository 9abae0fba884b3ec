"""What episodes are drawn from: clips of people, in shards or in memory, whole or in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Clip(Protocol):
    """Footage of one person: T frames uint8 [S, S, 3], S the size, and landmarks [T, ...] as `to_array` made them."""

    @property
    def size(self) -> int: ...

    @property
    def identity(self) -> str: ...

    @property
    def kind(self) -> str:
        """ "video", or "stills": pictures that are not of one moment."""
        ...

    @property
    def frames(self) -> Sequence[np.ndarray]: ...

    @property
    def landmarks(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Footage:
    """A `Clip` in memory."""

    identity: str
    frames: Sequence[np.ndarray]
    landmarks: np.ndarray
    kind: str = "video"

    @property
    def size(self) -> int:
        return self.frames[0].shape[0]


@dataclass(frozen=True)
class Excerpt:
    """Some frames of a clip, as a `Clip`: indices [T'] of its frames."""

    clip: Clip
    indices: Sequence[int]

    @property
    def size(self) -> int:
        return self.clip.size

    @property
    def identity(self) -> str:
        return self.clip.identity

    @property
    def kind(self) -> str:
        return self.clip.kind

    @property
    def frames(self) -> Sequence[np.ndarray]:
        return _Chosen(self.clip.frames, self.indices)

    @property
    def landmarks(self) -> np.ndarray:
        return np.asarray(self.clip.landmarks)[list(self.indices)]


class _Chosen(Sequence[np.ndarray]):
    def __init__(self, frames: Sequence[np.ndarray], indices: Sequence[int]):
        self.frames, self.indices = frames, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.frames[self.indices[index]]


def hold_out(clips: Sequence[Clip], share: float) -> tuple[list[Clip], list[Clip]]:
    """Each clip without its last share of frames, and these frames. Stills stay whole."""
    seen: list[Clip] = []
    unseen: list[Clip] = []
    for clip in clips:
        cut = round(len(clip.frames) * (1 - share))
        if clip.kind == "stills" or cut in (0, len(clip.frames)):
            seen.append(clip)
            continue
        seen.append(Excerpt(clip, range(cut)))
        unseen.append(Excerpt(clip, range(cut, len(clip.frames))))
    return seen, unseen
