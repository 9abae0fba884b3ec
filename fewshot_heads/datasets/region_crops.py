"""Open mouths or eyes, cut out of the footage: what inpainters learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from fewshot_heads.datasets.augment import Augmentation
from fewshot_heads.datasets.batches import RegionBatch
from fewshot_heads.datasets.clips import Clip
from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings
from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.aspect_ratio import mouth_aspect_ratios, smaller_eye_aspect_ratio
from fewshot_heads.landmarks.regions import REGIONS, FaceRegion
from fewshot_heads.landmarks.stickman import draw_stickman

_WIDEST = 3  # frames drawn, of which the one that is open widest is taken
# Over its width, how far a part is open when something is seen inside: below, detectors see gaps that are none.
_OPEN = {"mouth": 0.06, "eyes": 0.2}
_DRAWS = 20  # of clips, until one is open
_FAR = 0.75  # times as wide as the other: an eye that is narrower is turned away
_LOOSE = 0.01  # of the square: standard deviation of where landmarks are put wrongly, as carried ones are
_NEAR = 0.15  # of its own scale: standard deviation of how much nearer or farther the square is


class RegionCrops(Episodes):
    """Crops of open mouths or eyes. Sample i is a pure function of (seed, i), as in `Episodes`.

    Args:
        size: side of the crops, pixels: the inpainter's.
        part: a key of `landmarks.regions.REGIONS`.

    Raises:
        BadInput: when a sample is asked for and no frame of the footage shows the region open.
    """

    def __init__(
        self, clips: Sequence[Clip], length: int, settings: EpisodeSettings, seed: int = 0, size: int = 64,
        part: str = "mouth",
    ):  # fmt: skip
        super().__init__(clips, length, settings, seed)
        self.size, self.part = size, part

    def __getitem__(self, index: int) -> RegionBatch:  # type: ignore[override]
        random = np.random.default_rng((self.seed, index))
        identity, clip, frame = self._open_one(random)
        change = Augmentation.draw(random, clip.size, self.settings.augment)
        face = change.face(np.asarray(clip.landmarks)[frame])
        part = self._one_of(REGIONS[self.part], face, random)
        place = replace(part.crop_box(face), size=self.size)
        if self.settings.augment:
            side, shift = place.side * np.exp(random.normal(0, _NEAR)), random.normal(0, 0.03, 2) * place.side
            middle = np.array([place.left, place.top]) + place.side / 2 + shift
            left, top = (middle - side / 2).tolist()
            place = replace(place, left=left, top=top, side=float(side))
        picture = to_tensor(change.warp_crop(self._worn(clip, random).frames[frame], place))
        face = place.to_crop(face)
        if self.settings.augment:
            face = replace(face, points=face.points + random.normal(0, _LOOSE * self.size, face.points.shape))
        stickman = to_tensor(draw_stickman(face.points, self.size))
        hole = torch.from_numpy(part.mask(face, self.size))[None]
        margin = (self.size - min(self.settings.patch_size or self.size, self.size)) // 2
        return RegionBatch(
            target=picture,
            hole=hole,
            stickman=stickman,
            regions=torch.cat([torch.zeros_like(hole), hole, hole]),
            valid_mask=torch.ones_like(hole),
            patch_corner=torch.tensor([margin] * 2),
            identity=torch.tensor(identity),
        )

    def _open_one(self, random: np.random.Generator) -> tuple[int, Clip, int]:
        """Somebody, a clip of theirs, and a frame of it in which the part is open."""
        for _ in range(_DRAWS):
            identity, clip = self._draw(random)
            drawn = random.integers(len(clip.landmarks), size=_WIDEST)
            faces = np.asarray(clip.landmarks)[drawn]
            widths = (
                mouth_aspect_ratios(faces)
                if self.part == "mouth"
                else np.array([smaller_eye_aspect_ratio(face) for face in faces])
            )
            if widths.max() > _OPEN[self.part]:
                return identity, clip, int(drawn[widths.argmax()])
        seen = _DRAWS * _WIDEST
        raise BadInput(f"no open {self.part} in {seen} frames of this footage; add people who look, talk or laugh")

    @staticmethod
    def _one_of(parts: Sequence[FaceRegion], face: Landmarks, random: np.random.Generator) -> FaceRegion:
        """One of a face's parts of a kind, not the one that is turned away."""
        if len(parts) == 1:
            return parts[0]
        widths = np.array([np.ptp(face.points[part.outline][:, 0]) for part in parts])
        drawn = int(random.integers(len(parts)))
        return parts[drawn if widths.min() > _FAR * widths.max() else int(widths.argmax())]
