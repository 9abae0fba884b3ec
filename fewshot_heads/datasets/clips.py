"""Clips of people, from which episodes are drawn, complete or in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Clip(Protocol):
    """Footage of one person."""

    @property
    def size(self) -> int:
        """Side S of the frames, pixels."""
        ...

    @property
    def identity(self) -> str:
        """Name of the person."""
        ...

    @property
    def kind(self) -> str:
        """Either "video", or "stills": images that are not of one moment."""
        ...

    @property
    def frames(self) -> Sequence[np.ndarray]:
        """T frames uint8 [S, S, 3], RGB."""
        ...

    @property
    def landmarks(self) -> np.ndarray:
        """[T, 70 or 221, 3], pixels of the frame, as `Landmarks.to_array` returns them."""
        ...


@dataclass(frozen=True)
class Footage:
    """A `Clip` in memory.

    Attributes:
        identity: name of the person.
        frames: T frames uint8 [S, S, 3], RGB.
        landmarks: [T, 70 or 221, 3], pixels of the frame.
        kind: "video" or "stills".
    """

    identity: str
    frames: Sequence[np.ndarray]
    landmarks: np.ndarray
    kind: str = "video"

    @property
    def size(self) -> int:
        """Side of the frames, pixels."""
        return self.frames[0].shape[0]


@dataclass(frozen=True)
class Excerpt:
    """Some frames of a clip, as a `Clip`.

    Attributes:
        clip: the complete clip.
        indices: [N], numbers of the selected frames.
    """

    clip: Clip
    indices: Sequence[int]

    @property
    def size(self) -> int:
        """Side of the frames, pixels."""
        return self.clip.size

    @property
    def identity(self) -> str:
        """Name of the person."""
        return self.clip.identity

    @property
    def kind(self) -> str:
        """Either "video" or "stills"."""
        return self.clip.kind

    @property
    def frames(self) -> Sequence[np.ndarray]:
        """N frames uint8 [S, S, 3]. A frame is read when it is indexed."""
        return _SelectedFrames(self.clip.frames, self.indices)

    @property
    def landmarks(self) -> np.ndarray:
        """[N, 70 or 221, 3], pixels of the frame."""
        return np.asarray(self.clip.landmarks)[list(self.indices)]


class _SelectedFrames(Sequence[np.ndarray]):
    def __init__(self, frames: Sequence[np.ndarray], indices: Sequence[int]):
        self.frames, self.indices = frames, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.frames[self.indices[index]]


def hold_out(clips: Sequence[Clip], share: float) -> tuple[list[Clip], list[Clip]]:
    """Divides every video in time; returns (first parts, last parts).

    Stills stay complete, as does a video too short to divide. Such clips have no last part.

    Args:
        clips: clips of any kind.
        share: fraction of the frames in the last part, 0 to 1.
    """
    training: list[Clip] = []
    held_out: list[Clip] = []
    for clip in clips:
        cut = round(len(clip.frames) * (1 - share))
        if clip.kind == "stills" or cut in (0, len(clip.frames)):
            training.append(clip)
            continue
        training.append(Excerpt(clip, range(cut)))
        held_out.append(Excerpt(clip, range(cut, len(clip.frames))))
    return training, held_out
