"""A portrait that resembles its nearest relatives in a gallery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from fewshot_heads.creative.blending.identity_blend import DrivingSettings, IdentityBlend, check_made_by
from fewshot_heads.creative.blending.retrieval import Neighbour
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput
from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.metrics import Identity, csim
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.renderer import rasterize_landmarks


@dataclass(frozen=True)
class Portrait(DrivingSettings):
    """How much of the memory there is and how it moves; the keys of conf/portrait.yaml, which says what they mean."""

    strength: float = 0.5
    neighbours: int = 3

    def check(self) -> None:
        super().check()
        if not 0 <= self.strength <= 1:
            raise BadInput(f"strength={self.strength}: expected a number from 0 to 1")


def portrait(
    reenactor: Reenactor,
    sitter: Head,
    neighbours: Sequence[Neighbour],
    driver: Motion | Iterable[np.ndarray] | None = None,
    settings: Portrait | None = None,
) -> Iterator[np.ndarray]:
    """Frames of the sitter remembered through the neighbours; lazily, uint8 [R, R, 3], R = `resolution`.

    driver: frames uint8 [H, W, 3] or their `Motion`; None is one frame, the sitter as in the picture.
    Raises BadInput for settings and a memory of nobody, WeightsMismatch for heads of another generator.
    """
    settings = settings or Portrait()
    settings.check()
    if not neighbours:
        raise BadInput("a portrait out of memory needs a neighbour or more, none came; give a bank with faces")
    heads = [sitter, *(each.head for each in neighbours)]
    for name, head in zip(("the sitter", *(each.name for each in neighbours)), heads, strict=True):
        check_made_by(reenactor, head, name)
    if driver is not None and not isinstance(driver, Motion):
        driver = reenactor.track(driver)
    faces = sitter.landmarks[:1] if driver is None else settings.follow(sitter, driver, reenactor.size)
    cast = IdentityBlend(reenactor, heads, settings.side)
    weights = np.array([[1 - settings.strength, *(settings.strength * each.share for each in neighbours)]])
    return _frames(cast, faces, weights, settings, settings.mouths(driver))


def _frames(
    cast: IdentityBlend, faces: list[Landmarks], weights: np.ndarray, settings: Portrait, mouths: list[MouthCrop] | None
) -> Iterator[np.ndarray]:
    """weights [1, K]: the sitter's and the neighbours' shares of every frame."""
    style = cast.style(weights @ cast.e_hats, weights)
    # Features lie on one another, hair and backgrounds do not: there two pictures at most, and one by default.
    gone = float(np.clip(2 * settings.strength - 1, 0, 1))
    around = np.zeros_like(weights)
    around[0, :2] = 1 - gone, gone
    for first in range(0, len(faces), settings.batch):
        batch = slice(first, first + settings.batch)
        now = faces[batch]
        styles, inside, outside = (each.repeat(len(now), 0) for each in (style, weights, around))
        rest = cast.portraits[:1] * len(now)
        yield from cast.render(now, rest, styles, inside, outside, mouths and mouths[batch])


def identity_similarity(
    reenactor: Reenactor, sitter: Head, frame: np.ndarray, judge: Identity | None = None
) -> dict[str, float]:
    """Cosines, -1 to 1, of the sitter and a frame painted on the sitter's landmarks: of e_hat, and of a judge.

    frame: uint8 [R, R, 3], as `portrait` paints it without a driver.
    """
    seat, size = sitter.landmarks[0], reenactor.size
    frames = to_tensor(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA))[None, None]
    with torch.inference_mode():
        pair = (each.to(reenactor.device) for each in (frames, rasterize_landmarks([seat], size)[None]))
        seen = reenactor.networks.embedder(*pair)[0, 0]
    result = {"e_hat": float(csim(sitter.e_hat.numpy(), seen.cpu().numpy()))}
    if judge:
        pictures = (sitter.textures[0], frame)
        embeddings = [judge(each[None], seat.points[None] * (each.shape[0] / size))[0] for each in pictures]
        result[judge.name] = float(csim(*embeddings))
    return result
