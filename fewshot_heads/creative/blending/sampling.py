"""Synthetic identities, sampled from a model of appearance and shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fewshot_heads.creative.appearance.model import Appearance
from fewshot_heads.creative.blending.driving_settings import DrivingSettings
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import NoFaceFound, check_at_least
from fewshot_heads.head import Head
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.renderer import HeadRenderer

# Mean distance between the detector's landmarks and the model's, above which a picture is drawn again.
_MAX_LANDMARK_ERROR_FACE_FRACTION = 0.05
_MAX_DRAWS = 20  # pictures without a face, after which sampling gives up


@dataclass(frozen=True)
class Sample(DrivingSettings):
    """Which synthetic identities are sampled and how they move; the keys of conf/sample.yaml.

    Attributes:
        seed: the same seed gives the same people, whatever their number.
        count: number of people.
        truncation: 0 is the mean face, 1 the whole density.
        min_distance: least distance to every training person, standard deviations; None takes the learned one.
    """

    seed: int = 0
    count: int = 12
    truncation: float = 0.8
    min_distance: float | None = None

    def check(self) -> None:
        """Raises BadInput for a setting that is not allowed."""
        super().check()
        check_at_least("count", self.count, 1)
        check_at_least("seed", self.seed, 0)


@dataclass(frozen=True)
class SampledIdentity:
    """A synthetic identity.

    Attributes:
        head: made of the sampled picture.
        distance: to the nearest training person, see `appearance.model.SampledFace`.
        refused: number of draws before this one in which no face was found.
    """

    head: Head
    distance: float
    refused: int


def sample(
    reenactor: Reenactor, settings: Sample | None = None, appearance: Appearance | None = None
) -> Iterator[SampledIdentity]:
    """Yields synthetic identities.

    Args:
        reenactor: the library that detects faces and embeds them.
        settings: None takes the defaults.
        appearance: the model to sample from; None takes the shipped one.

    Raises:
        BadInput: a setting is not allowed, or no draw is as far as `min_distance`.
        NoFaceFound: the model's pictures show no faces.
    """
    settings = settings or Sample()
    settings.check()
    model = appearance or Appearance.load()
    return (_sample_one(reenactor, settings, model, i) for i in range(settings.count))


def _sample_one(reenactor: Reenactor, settings: Sample, model: Appearance, number: int) -> SampledIdentity:
    rng = np.random.default_rng([settings.seed, number])
    for refused in range(_MAX_DRAWS):
        drawn = model.draw(rng, settings.truncation, settings.min_distance)
        detected = reenactor.detectors[0].detect(drawn.picture)
        if detected:
            error = np.linalg.norm(detected[0].points - drawn.landmarks.points, axis=1).mean()
            if error < _MAX_LANDMARK_ERROR_FACE_FRACTION * drawn.landmarks.size:
                return SampledIdentity(reenactor.embed([drawn.picture], crop="full"), drawn.distance, refused)
    raise NoFaceFound(f"person {number} of seed {settings.seed}: no face in {_MAX_DRAWS} draws; use another seed")


def moved(
    reenactor: Reenactor, heads: Sequence[Head], driver: Motion, settings: Sample | None = None
) -> Iterator[np.ndarray]:
    """Yields frames of all heads in a grid, driven by one motion, uint8 [rows R, columns R, 3].

    Args:
        reenactor: the library that made the heads.
        heads: one person or more.
        driver: the motion that all follow.
        settings: None takes the defaults. Its `resolution` is R.

    Raises:
        BadInput: a setting is not allowed.
    """
    settings = settings or Sample()
    settings.check()
    faces = [settings.follow(head, driver, reenactor.size) for head in heads]
    renderers = [HeadRenderer(head, reenactor.generator, settings.side, reenactor.inpainters) for head in heads]
    mouths = settings.mouths(driver)
    for first in range(0, len(driver), settings.batch):
        batch = slice(first, first + settings.batch)
        batch_mouths = mouths and mouths[batch]
        frames_by_person = [
            renderer.render(person_faces[batch], batch_mouths)
            for renderer, person_faces in zip(renderers, faces, strict=True)
        ]
        yield from map(grid, zip(*frames_by_person, strict=True))


def grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Returns one picture of many, in reading order, about a third wider than high.

    Args:
        pictures: uint8 [S, S, 3] each. Empty tiles are black.
    """
    columns = min(len(pictures), round((4 / 3 * len(pictures)) ** 0.5) or 1)
    return image_grid([pictures[i : i + columns] for i in range(0, len(pictures), columns)])
