"""Morphs one head into another: identities blended along a path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fewshot_heads.creative.blending import interpolation
from fewshot_heads.creative.blending.driving_settings import DrivingSettings
from fewshot_heads.creative.blending.identity_blend import IdentityBlend
from fewshot_heads.creative.blending.idle_motion import idle_motion
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput, check_share
from fewshot_heads.head import Head
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.media.video_reader import exact_rate
from fewshot_heads.reenactor import Reenactor

PREVIEW_FRAMES, _PREVIEW_COLUMNS = 16, 8
_MAX_IDLE_FRAMES = 100_000  # an hour at 25 frames per second; their landmarks are in memory, 3 kB each


@dataclass(frozen=True)
class Morph(DrivingSettings):
    """How people morph; the keys of conf/morph.yaml.

    Attributes:
        path: "linear", "spherical" or "spline" interpolation of e_hat.
        easing: pace between two people, a key of `interpolation.EASINGS`.
        loop: whether the path returns to the first person.
        truncation: 1 reaches every person, 0 stays at their mean.
        shape_of: person, from 0, whose face shape and coarse style stay; None follows the path.
        appearance_of: person, from 0, whose pixels, pose and fine style stay; None follows the path.
        seconds: seconds for each person, without a driver.
        rate: frames per second, without a driver.
    """

    path: str = "spherical"
    easing: str = "smooth"
    loop: bool = False
    truncation: float = 1.0
    shape_of: int | None = None
    appearance_of: int | None = None
    seconds: float = 4.0
    rate: float = 25

    def frames(self, people: int) -> int:
        """Returns the number of frames without a driver, 2 or more. Raises BadInput for more than 100,000."""
        count = max(round(self.seconds * exact_rate(self.rate) * people), 2)
        if count > _MAX_IDLE_FRAMES:
            limit = f"more than {_MAX_IDLE_FRAMES} frames without a driver"
            raise BadInput(f"seconds={self.seconds:g}: {limit}; take fewer seconds or a lower rate")
        return count


def morph(
    reenactor: Reenactor,
    heads: Sequence[Head],
    driver: Motion | Iterable[np.ndarray] | None = None,
    settings: Morph | None = None,
    only: Iterable[int] | None = None,
) -> Iterator[np.ndarray]:
    """Yields frames of the first person who becomes the second, and so on, uint8 [R, R, 3].

    Args:
        reenactor: the library that made the heads.
        heads: two people or more, in the order of the path.
        driver: frames uint8 [H, W, 3] or their `Motion`, over which the path extends. None gives idle motion.
        settings: None takes the defaults. Its `resolution` is R.
        only: indices of the wanted frames; None takes all.

    Raises:
        BadInput: a setting is not allowed, or there are fewer than two people.
        WeightsMismatch: another generator made a head.
    """
    settings = settings or Morph()
    _check(reenactor, heads, settings)
    motion = settings.track(reenactor, driver)
    if motion is None:
        count = settings.frames(len(heads))
        mean_heads = idle_motion(count, settings.rate)
        # Always relative: the mean head's own landmarks fit nobody.
        faces = [
            retarget(head.landmarks[0], mean_heads, "relative", settings.pose, settings.expression, 0) for head in heads
        ]
    else:
        count = len(motion)
        faces = [settings.follow(head, motion, reenactor.size) for head in heads]
    at = interpolation.positions(count, len(heads), settings.easing, settings.loop)
    wanted = np.arange(count) if only is None else np.array(list(only), int)
    blend = IdentityBlend(reenactor, heads, settings.side)
    return render_mixed(blend, faces, at, wanted, settings, settings.mouths(motion))


def render_mixed(
    blend: IdentityBlend,
    faces: Sequence[Sequence[Landmarks]],
    at: np.ndarray,
    wanted: np.ndarray,
    settings: Morph,
    mouths: Sequence[MouthCrop] | None = None,
) -> Iterator[np.ndarray]:
    """Yields frames of K people mixed into one, uint8 [R, R, 3].

    Args:
        blend: the K people.
        faces: for each person N faces, pixels of the crop.
        at: [N], positions on the path: 0 is the first person, 1 the second.
        wanted: indices of the frames to render.
        settings: how the people are mixed.
        mouths: the driver's mouth of each of the N frames; None inpaints mouths that open.
    """
    batch = 1 if blend.tuned else settings.batch
    for first in range(0, len(wanted), batch):
        indices = wanted[first : first + batch]
        shapes, coarse_style, _ = _mixture(blend, settings, at[indices], settings.shape_of)
        _, fine_style, weights = _mixture(blend, settings, at[indices], settings.appearance_of)
        # The pose follows the pixels, so pictures need not turn to show another person's shape.
        shares = list(zip(shapes, weights, strict=True))
        mixed_faces = [
            interpolation.between([person_faces[i] for person_faces in faces], *share)
            for i, share in zip(indices, shares, strict=True)
        ]
        rest = [interpolation.between(blend.portraits, *share) for share in shares]
        half = coarse_style.shape[1] // 2  # a style vector runs from coarse layers to fine ones
        style = np.concatenate([coarse_style[:, :half], fine_style[:, half:]], 1)
        yield from blend.render(mixed_faces, rest, style, weights, mouths=mouths and [mouths[i] for i in indices])


def _mixture(
    blend: IdentityBlend, settings: Morph, at: np.ndarray, fixed_person: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns shares of shapes [B, K], the style [B, P], and shares of pixels [B, K].

    Args:
        blend: the K people.
        settings: path and truncation.
        at: [B], positions.
        fixed_person: the only person who counts; None follows the path.
    """
    people = len(blend.e_hats)
    at = at if fixed_person is None else np.full(len(at), float(fixed_person))
    weights = interpolation.shares(at, people)
    shapes = interpolation.spline_shares(at, people, settings.loop) if settings.path == "spline" else weights
    e_hats = interpolation.spherical(blend.e_hats, at) if settings.path == "spherical" else shapes @ blend.e_hats
    equal = np.full(people, 1 / people)
    shapes, weights = (interpolation.truncated(shares, equal, settings.truncation) for shares in (shapes, weights))
    e_hats = interpolation.truncated(e_hats, blend.e_hats.mean(0), settings.truncation)
    return shapes, blend.style(e_hats, shapes), weights


def _check(reenactor: Reenactor, heads: Sequence[Head], settings: Morph) -> None:
    if len(heads) < 2:
        raise BadInput(f"a morph needs two people or more, {len(heads)} came; give another picture or head")
    for i, head in enumerate(heads):
        reenactor.check_made_here(head, f"head {i}")
    settings.check_choices("path", "easing")
    settings.check()
    for name in ("shape_of", "appearance_of"):
        person = getattr(settings, name)
        if person is not None and not 0 <= person < len(heads):
            raise BadInput(f"{name}={person}: there are people 0 to {len(heads) - 1}; name one of them")
    check_share("truncation", settings.truncation)


def preview(reenactor: Reenactor, heads: Sequence[Head], motion: Motion | None, settings: Morph) -> np.ndarray:
    """Returns evenly spaced frames of a morph in two rows, uint8 [2 S, 8 S, 3].

    Args:
        reenactor: the library that made the heads. Its `size` is S.
        heads: two people or more.
        motion: the driver's motion; None gives idle motion.
        settings: how the people morph.
    """
    count = settings.frames(len(heads)) if motion is None else len(motion)
    indices = np.linspace(0, count - 1, PREVIEW_FRAMES).round().astype(int)
    frames = list(morph(reenactor, heads, motion, replace(settings, resolution=reenactor.size), indices))
    rows = [frames[i : i + _PREVIEW_COLUMNS] for i in range(0, PREVIEW_FRAMES, _PREVIEW_COLUMNS)]
    return image_grid(rows)
