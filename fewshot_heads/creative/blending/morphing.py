"""One head becomes another: identities blended along a path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fewshot_heads.creative.blending import interpolation
from fewshot_heads.creative.blending.identity_blend import DrivingSettings, IdentityBlend, check_made_by, check_words
from fewshot_heads.creative.blending.idle_motion import idle_motion
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput
from fewshot_heads.head import Head
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.media.video_reader import exact_rate
from fewshot_heads.reenactor import Reenactor

STOPS, _COLUMNS = 16, 8  # of the preview


@dataclass(frozen=True)
class Morph(DrivingSettings):
    """How people become one another; the keys of conf/morph.yaml, which says what they mean."""

    path: str = "spherical"
    easing: str = "smooth"
    loop: bool = False
    truncation: float = 1.0
    shape_of: int | None = None
    appearance_of: int | None = None
    seconds: float = 4.0
    rate: float = 25

    def frames(self, people: int) -> int:
        """How many there are without a driver."""
        return max(round(self.seconds * exact_rate(self.rate) * people), 2)


def morph(
    reenactor: Reenactor,
    heads: Sequence[Head],
    driver: Motion | Iterable[np.ndarray] | None = None,
    settings: Morph | None = None,
    only: Iterable[int] | None = None,
) -> Iterator[np.ndarray]:
    """Frames of the first person who becomes the second, and so on; lazily, uint8 [R, R, 3], R = `resolution`.

    driver: frames uint8 [H, W, 3] or their `Motion`, which the path spans; None lets them look about and blink for
    `seconds` a person. only: the frames wanted; None is all.
    Raises BadInput for settings and too few people, WeightsMismatch for heads of another generator.
    """
    settings = settings or Morph()
    _check(reenactor, heads, settings)
    if driver is not None and not isinstance(driver, Motion):
        driver = reenactor.track(driver)
    if driver is None:
        count = settings.frames(len(heads))
        moves = idle_motion(count, settings.rate)
        # No driver's landmarks to be taken as they are: the mean head's, moving.
        reenacted = [
            retarget(head.landmarks[0], moves, "relative", settings.pose, settings.expression, 0) for head in heads
        ]
    else:
        count = len(driver)
        reenacted = [settings.follow(head, driver, reenactor.size) for head in heads]
    at = interpolation.positions(count, len(heads), settings.easing, settings.loop)
    wanted = np.arange(count) if only is None else np.array(list(only), int)
    return mixed(
        IdentityBlend(reenactor, heads, settings.side), reenacted, at, wanted, settings, settings.mouths(driver)
    )


def mixed(
    cast: IdentityBlend,
    reenacted: list[list[Landmarks]],
    at: np.ndarray,
    wanted: np.ndarray,
    settings: Morph,
    mouths: list[MouthCrop] | None = None,
) -> Iterator[np.ndarray]:
    """Frames uint8 [R, R, 3] of the cast as one person. reenacted: N faces of each of K people; at [N]: positions, 0
    the first person, 1 the second; wanted: indices of frames; mouths: N, see `HeadRenderer.paint`."""
    batch = 1 if cast.tuned else settings.batch
    for first in range(0, len(wanted), batch):
        now = wanted[first : first + batch]
        shapes, coarse, _ = _mixture(cast, settings, at[now], settings.shape_of)
        _, fine, weights = _mixture(cast, settings, at[now], settings.appearance_of)
        # The pose goes with the pictures: they need not be turned to show another's shape.
        shares = list(zip(shapes, weights, strict=True))
        faces = [
            interpolation.between([own[i] for own in reenacted], *each) for i, each in zip(now, shares, strict=True)
        ]
        rest = [interpolation.between(cast.portraits, *each) for each in shares]
        half = coarse.shape[1] // 2  # a style goes from coarse layers to fine ones
        style = np.concatenate([coarse[:, :half], fine[:, half:]], 1)
        yield from cast.render(faces, rest, style, weights, mouths=mouths and [mouths[i] for i in now])


def _mixture(
    cast: IdentityBlend, settings: Morph, at: np.ndarray, only: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much of each person's shape [B, K], the style [B, P], and how much of their pixels [B, K]."""
    people = len(cast.e_hats)
    at = at if only is None else np.full(len(at), float(only))
    weights = interpolation.shares(at, people)
    shapes = interpolation.spline_shares(at, people, settings.loop) if settings.path == "spline" else weights
    e_hats = interpolation.spherical(cast.e_hats, at) if settings.path == "spherical" else shapes @ cast.e_hats
    even = np.full(people, 1 / people)
    shapes, weights = (interpolation.truncated(each, even, settings.truncation) for each in (shapes, weights))
    return (
        shapes,
        cast.style(interpolation.truncated(e_hats, cast.e_hats.mean(0), settings.truncation), shapes),
        weights,
    )


def _check(reenactor: Reenactor, heads: Sequence[Head], settings: Morph) -> None:
    if len(heads) < 2:
        raise BadInput(f"a morph needs two people or more, {len(heads)} came; give another picture or head")
    for i, head in enumerate(heads):
        check_made_by(reenactor, head, f"head {i}")
    check_words(settings, path=interpolation.PATHS, easing=tuple(interpolation.EASINGS))
    settings.check()
    for name in ("shape_of", "appearance_of"):
        person = getattr(settings, name)
        if person is not None and not 0 <= person < len(heads):
            raise BadInput(f"{name}={person}: there are people 0 to {len(heads) - 1}")
    if not 0 <= settings.truncation <= 1:
        raise BadInput(f"truncation={settings.truncation}: expected a number from 0 to 1")


def preview(reenactor: Reenactor, heads: Sequence[Head], motion: Motion | None, settings: Morph) -> np.ndarray:
    """uint8 [2 S, 8 S, 3]: frames of the morph, evenly spread, row by row."""
    count = settings.frames(len(heads)) if motion is None else len(motion)
    only = np.linspace(0, count - 1, STOPS).round()
    frames = list(morph(reenactor, heads, motion, replace(settings, resolution=reenactor.size), only.astype(int)))
    return np.concatenate([np.concatenate(frames[i : i + _COLUMNS], 1) for i in range(0, STOPS, _COLUMNS)])
