"""Shows what fine-tuning changed: one person before and after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import cv2
import numpy as np

from fewshot_heads.driving.tracking import Motion
from fewshot_heads.head import Head
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.landmarks.pose import rotate_3d

_MAX_COLUMNS = 6
# Pitch, yaw and roll in which a single picture is shown.
_TURNS_DEGREES = ((0, 0, 0), (0, -14, 0), (0, 14, 0), (-8, 0, 0), (8, 0, 0))


class Animator(Protocol):
    """What `before_and_after` needs of a `Reenactor`, which stands above this room.

    Attributes:
        size: side of the generator's crop, pixels.
    """

    size: int

    def animate(
        self,
        head: Head,
        driver: Motion,
        motion: str = "relative",
        *,
        paste_back: bool = True,
        crop: str = "auto",
        resolution: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields frames of a head, as `Reenactor.animate` does."""
        ...


def before_and_after(reenactor: Animator, head: Head, tuned: Head) -> np.ndarray:
    """Returns a grid uint8 [3 S, columns S, 3]: pictures, generator before, generator after fine-tuning.

    The columns are the poses of the head's pictures, six at most, rendered from the first picture. A single picture is
    shown in five poses.

    Args:
        reenactor: the library that made the heads. Its `size` is S.
        head: the person before fine-tuning.
        tuned: the person after fine-tuning.
    """
    faces = list(head.landmarks[:_MAX_COLUMNS])
    if len(faces) == 1:
        faces = [rotate_3d(faces[0], angles) for angles in np.radians(_TURNS_DEGREES)]
    size = reenactor.size
    motion = Motion(faces, [], [(0, len(faces))], (size, size), "the pictures")
    pictures = [
        cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in head.textures[: len(faces)]
    ]
    rows = [(pictures * len(faces))[: len(faces)]]
    for version in (head, tuned):
        frames = reenactor.animate(version, motion, "absolute", paste_back=False, crop="full", resolution=size)
        rows.append(list(frames))
    return image_grid(rows)
