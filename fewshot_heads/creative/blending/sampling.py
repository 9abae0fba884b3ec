"""Synthetic identities, sampled from a model of appearance and shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fewshot_heads.creative.appearance.model import Appearance
from fewshot_heads.creative.blending.identity_blend import DrivingSettings
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.head import Head
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.renderer import HeadRenderer

_ACCEPTED = 0.05  # of the face's size: how far on average the detector's points may lie from the model's
_TRIES = 20  # pictures without a face after which there is none to be had


@dataclass(frozen=True)
class Sample(DrivingSettings):
    """Who is drawn and how they move; the keys of conf/sample.yaml, which says what they mean."""

    seed: int = 0
    count: int = 12
    truncation: float = 0.8
    min_distance: float | None = None

    def check(self) -> None:
        super().check()
        if self.count < 1:
            raise BadInput(f"count={self.count}: expected 1 or more")
        if self.seed < 0:
            raise BadInput(f"seed={self.seed}: expected 0 or more")


@dataclass(frozen=True)
class SampledIdentity:
    """head: made of the invented picture. distance: see `appearance.SampledFace`. refused: draws without a face
    before.
    """

    head: Head
    distance: float
    refused: int


def sample(
    reenactor: Reenactor, settings: Sample | None = None, appearance: Appearance | None = None
) -> Iterator[SampledIdentity]:
    """`count` people who do not exist, lazily; appearance: None is the shipped model.

    Raises BadInput for settings and a min_distance out of reach, NoFaceFound for a model that draws no faces.
    """
    settings = settings or Sample()
    settings.check()
    model = appearance or Appearance.load()
    return (_somebody(reenactor, settings, model, i) for i in range(settings.count))


def _somebody(reenactor: Reenactor, settings: Sample, model: Appearance, number: int) -> SampledIdentity:
    rng = np.random.default_rng([settings.seed, number])
    for refused in range(_TRIES):
        drawn = model.draw(rng, settings.truncation, settings.min_distance)
        seen = reenactor.detectors[0].detect(drawn.picture)
        if seen:
            off = np.linalg.norm(seen[0].points - drawn.landmarks.points, axis=1).mean()
            if off < _ACCEPTED * drawn.landmarks.size:
                return SampledIdentity(reenactor.embed([drawn.picture], crop="full"), drawn.distance, refused)
    raise NoFaceFound(f"person {number} of seed {settings.seed}: no face in {_TRIES} draws; use another seed")


def moved(
    reenactor: Reenactor, heads: Sequence[Head], driver: Motion, settings: Sample | None = None
) -> Iterator[np.ndarray]:
    """Frames of all heads side by side, moving alike; lazily, uint8 [rows R, columns R, 3]. Raises BadInput."""
    settings = settings or Sample()
    settings.check()
    faces = [settings.follow(head, driver, reenactor.size) for head in heads]
    generator, device = reenactor.networks.generator, reenactor.device
    painters = [
        HeadRenderer(head, generator, reenactor.size, device, settings.side, reenactor.inpainters) for head in heads
    ]
    mouths = settings.mouths(driver)
    for first in range(0, len(driver), settings.batch):
        now = slice(first, first + settings.batch)
        shown = mouths and mouths[now]
        people = [painter.render(own[now], True, shown) for painter, own in zip(painters, faces, strict=True)]
        yield from map(grid, zip(*people, strict=True))


def grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 [S, S, 3] each to one picture, about a third wider than high; what is left over is black."""
    columns = min(len(pictures), round((4 / 3 * len(pictures)) ** 0.5) or 1)
    missing = [np.zeros_like(pictures[0])] * (-len(pictures) % columns)
    tiles = [*pictures, *missing]
    return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])
