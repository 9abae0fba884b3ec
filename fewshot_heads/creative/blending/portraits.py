"""Blends a portrait with its nearest neighbours in a gallery of faces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fewshot_heads.creative.blending.driving_settings import DrivingSettings
from fewshot_heads.creative.blending.identity_blend import IdentityBlend
from fewshot_heads.creative.blending.retrieval import Neighbour
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput, check_share
from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_float
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.metrics import Identity, csim
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.renderer import rasterize_landmarks


@dataclass(frozen=True)
class Portrait(DrivingSettings):
    """How a portrait is blended and moves; the keys of conf/portrait.yaml.

    Attributes:
        strength: share of the neighbours: 0 is the person alone, 1 the neighbours alone.
        neighbours: number of faces of the gallery that count.
    """

    strength: float = 0.5
    neighbours: int = 3

    def check(self) -> None:
        """Raises BadInput for a setting that is not allowed."""
        super().check()
        check_share("strength", self.strength)


def portrait(
    reenactor: Reenactor,
    head: Head,
    neighbours: Sequence[Neighbour],
    driver: Motion | Iterable[np.ndarray] | None = None,
    settings: Portrait | None = None,
) -> Iterator[np.ndarray]:
    """Yields frames of a person blended with neighbours, uint8 [R, R, 3].

    Args:
        reenactor: the library that made the heads.
        head: the person, whose landmarks move.
        neighbours: one face or more, with shares that sum to 1.
        driver: frames uint8 [H, W, 3] or their `Motion`. None gives one frame, in the pose of the picture.
        settings: None takes the defaults. Its `resolution` is R.

    Raises:
        BadInput: a setting is not allowed, or there are no neighbours.
        WeightsMismatch: another generator made a head.
    """
    settings = settings or Portrait()
    settings.check()
    if not neighbours:
        raise BadInput("a portrait out of memory needs a neighbour or more, none came; give a gallery with faces")
    reenactor.check_made_here(head, "the sitter")
    for neighbour in neighbours:
        reenactor.check_made_here(neighbour.head, neighbour.name)
    motion = settings.track(reenactor, driver)
    faces = head.landmarks[:1] if motion is None else settings.follow(head, motion, reenactor.size)
    blend = IdentityBlend(reenactor, [head, *(neighbour.head for neighbour in neighbours)], settings.side)
    weights = [1 - settings.strength, *(settings.strength * neighbour.share for neighbour in neighbours)]
    return _frames(blend, faces, np.array([weights]), settings, settings.mouths(motion))


def _frames(
    blend: IdentityBlend,
    faces: Sequence[Landmarks],
    weights: np.ndarray,
    settings: Portrait,
    mouths: Sequence[MouthCrop] | None,
) -> Iterator[np.ndarray]:
    """Yields the frames; weights [1, K] are the shares of the person and the neighbours in every frame."""
    style = blend.style(weights @ blend.e_hats, weights)
    # Facial features align between people, hair and backgrounds do not. So outside the face there are two pictures at
    # most: up to strength 0.5 the person's, then a cross-fade to the nearest neighbour's.
    faded = float(np.clip(2 * settings.strength - 1, 0, 1))
    around = np.zeros_like(weights)
    around[0, :2] = 1 - faded, faded
    for first in range(0, len(faces), settings.batch):
        batch = slice(first, first + settings.batch)
        batch_faces = faces[batch]
        styles, inside, outside = (row.repeat(len(batch_faces), 0) for row in (style, weights, around))
        rest = blend.portraits[:1] * len(batch_faces)
        yield from blend.render(batch_faces, rest, styles, inside, outside, mouths and mouths[batch])


def identity_similarity(
    reenactor: Reenactor, head: Head, frame: np.ndarray, face_recognizer: Identity | None = None
) -> dict[str, float]:
    """Returns cosines, -1 to 1, between a person and a frame, by the name of the embedding.

    Args:
        reenactor: the library that made the head; its embedder gives the cosine `e_hat`.
        head: the person.
        frame: uint8 [R, R, 3], with the landmarks of the head's first picture, as `portrait` without a driver.
        face_recognizer: a face-recognition network that adds a cosine by its name; None leaves it out.
    """
    landmarks, size = head.landmarks[0], reenactor.size
    image = to_float(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA))
    e_hat, _ = reenactor.embedder(image[None, None], rasterize_landmarks([landmarks], size)[None])
    cosines = {"e_hat": float(csim(head.e_hat, e_hat[0]))}
    if face_recognizer:
        embeddings = [
            face_recognizer(image[None], landmarks.points[None] * (image.shape[0] / size))[0]
            for image in (head.textures[0], frame)
        ]
        cosines[face_recognizer.name] = float(csim(*embeddings))
    return cosines
