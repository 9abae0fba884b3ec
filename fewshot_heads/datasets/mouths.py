"""Open mouths, cut out of the footage: what the mouth's inpainter learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from fewshot_heads.datasets.augment import Change
from fewshot_heads.datasets.clips import Clip
from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings, openings
from fewshot_heads.errors import BadInput
from fewshot_heads.images import to_tensor
from fewshot_heads.landmarks import INNER_LIPS
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.models.inpainter import SEEN
from fewshot_heads.mouth import around_mouth, draw_hole

_WIDEST = 3  # frames drawn, of which the one with the widest mouth is taken
_OPEN = 0.06  # `openings` from which on something is seen between lips: below, detectors see gaps that are none
_DRAWS = 20  # of clips, until a mouth is open
_LOOSE = 0.01  # of the square: standard deviation of where landmarks are put wrongly, as carried lips are
_NEAR = 0.15  # of its own scale: standard deviation of how much nearer or farther the square is


class Mouths(Episodes):
    """Sample i is a pure function of (seed, i), like an episode, with the keys of one that training looks at.

    A dict of tensors, S the inpainter's size: driver [3, S, S] in [-1, 1]: the square around an open mouth; hole
    [1, S, S], 0 to 1: between its inner lips; pictures [1, 3, S, S]: the driver, grey in the hole; stickman [3, S, S];
    regions [3, S, S]: of eyes (none), mouth and what opens, both the hole; trust [1, S, S]: 1; corner [2] of the patch,
    in the middle; shown [], identity []. Raises BadInput, when asked, where no mouth is open.
    """

    def __init__(self, clips: Sequence[Clip], length: int, settings: EpisodeSettings, seed: int = 0, size: int = 64):
        super().__init__(clips, length, settings, seed)
        self.size = size

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        random = np.random.default_rng((self.seed, index))
        identity, clip, frame = self._open_mouth(random)
        change = Change.draw(random, clip.size, self.settings.augment)
        face = change.face(np.asarray(clip.landmarks)[frame])
        place = replace(around_mouth(face), size=self.size)
        if self.settings.augment:
            side, shift = place.side * np.exp(random.normal(0, _NEAR)), random.normal(0, 0.03, 2) * place.side
            middle = np.array([place.left, place.top]) + place.side / 2 + shift
            left, top = (middle - side / 2).tolist()
            place = replace(place, left=left, top=top, side=float(side))
        picture = to_tensor(change.square(self._worn(clip, random).frames[frame], place))
        face = place.to_crop(face)
        if self.settings.augment:
            face = replace(face, points=face.points + random.normal(0, _LOOSE * self.size, face.points.shape))
        stickman = to_tensor(draw_stickman(face.points, self.size))
        hole = torch.from_numpy(draw_hole(face.points[INNER_LIPS], self.size))[None]
        margin = (self.size - min(self.settings.patch or self.size, self.size)) // 2
        return {
            "driver": picture, "hole": hole, "pictures": (picture * (hole <= SEEN))[None], "stickman": stickman,
            "regions": torch.cat([torch.zeros_like(hole), hole, hole]), "trust": torch.ones_like(hole),
            "corner": torch.tensor([margin] * 2), "shown": torch.tensor(0), "identity": torch.tensor(identity),
        }  # fmt: skip

    def _open_mouth(self, random: np.random.Generator) -> tuple[int, Clip, int]:
        """Somebody, a clip of theirs, and a frame of it."""
        for _ in range(_DRAWS):
            identity, clip = self._draw(random)
            drawn = random.integers(len(clip.landmarks), size=_WIDEST)
            widths = openings(np.asarray(clip.landmarks)[drawn])
            if widths.max() > _OPEN:
                return identity, clip, int(drawn[widths.argmax()])
        raise BadInput(f"no open mouth in {_DRAWS * _WIDEST} frames of this footage; add people who talk or laugh")
