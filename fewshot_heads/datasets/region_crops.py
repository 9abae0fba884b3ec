"""Draws crops of open mouths, open eyes or lowered lids from footage, on which inpainters are trained."""

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
from fewshot_heads.landmarks.regions import REGIONS, Region
from fewshot_heads.landmarks.stickman import draw_stickman

_FRAMES_PER_CLIP = 32  # of these, the frame is taken whose aspect ratio is the nearest to a drawn one
# Range of the drawn aspect ratios: footage has far more mouths that are hardly open than wide open ones, and more open
# eyes than closed ones. From the least on, the inside of mouths and eyes is visible. Below it, detectors report gaps
# that do not exist. Of closed eyes they report -0.05 to 0.05.
_ASPECT_RATIOS = {"mouth": (0.06, 0.9), "eyes": (0.2, 0.45), "lids": (-0.05, 0.25)}
_TOLERANCES = {"mouth": np.inf, "eyes": np.inf, "lids": 0.04}  # of the aspect ratio; few frames show a closed eye
_MAX_CLIPS = 20  # clips that are drawn until one shows the region as wanted
_MIN_EYE_WIDTH_RATIO = 0.75  # of the eyes' widths; a narrower eye is turned away
_LANDMARK_STD_CROP_FRACTION = 0.01  # error that is added to the landmarks, like that of warped landmarks
_LOG_SCALE_STD = 0.15  # of the crop's side
_SHIFT_STD_CROP_FRACTION = 0.03


class RegionCrops(Episodes):
    """A dataset of open mouths, open eyes or lowered lids.

    Sample i is a pure function of (seed, i), as in `Episodes`.

    Args:
        clips: footage of one frame size.
        length: number of crops.
        settings: how crops are drawn. `k_shot` and `sampling` have no effect beyond the length of clips.
        seed: of all random numbers.
        size: side of the inpainter's crops, pixels.
        part: a key of `landmarks.regions.REGIONS`.

    Raises:
        BadInput: no drawn frame shows the region as wanted. The error occurs when a sample is read.
    """

    def __init__(
        self, clips: Sequence[Clip], length: int, settings: EpisodeSettings, seed: int = 0, size: int = 64,
        part: str = "mouth",
    ):  # fmt: skip
        super().__init__(clips, length, settings, seed)
        self.size, self.part = size, part
        self.rows = 2 * len(self.identities)  # a mirrored mouth has other teeth

    def __getitem__(self, index: int) -> RegionBatch:  # type: ignore[override]
        random = np.random.default_rng((self.seed, index))
        identity, clip, frame = self._draw_frame(random)
        change = Augmentation.draw(random, clip.size, self.settings.augment)
        face = change.face(np.asarray(clip.landmarks)[frame])
        region = self._draw_region(REGIONS[self.part], face, random)
        box = replace(region.crop_box(face), size=self.size)
        if self.settings.augment:
            side = box.side * np.exp(random.normal(0, _LOG_SCALE_STD))
            shift = random.normal(0, _SHIFT_STD_CROP_FRACTION, 2) * box.side
            center = np.array([box.left, box.top]) + box.side / 2 + shift
            left, top = (center - side / 2).tolist()
            box = replace(box, left=left, top=top, side=float(side))
        image = to_tensor(change.warp_crop(self._degrade(clip, random).frames[frame], box))
        face = box.to_crop(face)
        if self.settings.augment:
            errors = random.normal(0, _LANDMARK_STD_CROP_FRACTION * self.size, face.points.shape)
            face = replace(face, points=face.points + errors)
        stickman = to_tensor(draw_stickman(face.points, self.size))
        hole = torch.from_numpy(region.mask(face, self.size))[None]
        margin = (self.size - min(self.settings.patch_size or self.size, self.size)) // 2
        return RegionBatch(
            target=image,
            hole=hole,
            stickman=stickman,
            regions=torch.cat([torch.zeros_like(hole), hole, hole]),
            valid_mask=torch.ones_like(hole),
            patch_corner=torch.tensor([margin] * 2),
            identity=torch.tensor(identity + change.mirror * len(self.identities)),
        )

    def _draw_frame(self, random: np.random.Generator) -> tuple[int, Clip, int]:
        """Draws an identity, one of its clips, and a frame that shows the region as far open as is drawn."""
        least, most = _ASPECT_RATIOS[self.part]
        wanted = random.uniform(least, most)
        best, best_error = None, np.inf
        for _ in range(_MAX_CLIPS):
            identity, clip = self._draw(random)
            frames = random.integers(len(clip.landmarks), size=_FRAMES_PER_CLIP)
            faces = np.asarray(clip.landmarks)[frames]
            aspect_ratios = mouth_aspect_ratios(faces) if self.part == "mouth" else smaller_eye_aspect_ratio(faces)
            errors = np.where(aspect_ratios > least, np.abs(aspect_ratios - wanted), np.inf)
            nearest = int(errors.argmin())
            if errors[nearest] < best_error:
                best, best_error = (identity, clip, int(frames[nearest])), errors[nearest]
            if best_error < _TOLERANCES[self.part]:
                break
        if best is not None:
            return best
        count = _MAX_CLIPS * _FRAMES_PER_CLIP
        raise BadInput(f"no open {self.part} in {count} frames of this footage; add people who look, talk or laugh")

    @staticmethod
    def _draw_region(regions: Sequence[Region], face: Landmarks, random: np.random.Generator) -> Region:
        """Draws one of the regions, but not an eye that is turned away."""
        if len(regions) == 1:
            return regions[0]
        widths = np.array([np.ptp(face.points[region.outline][:, 0]) for region in regions])
        index = int(random.integers(len(regions)))
        return regions[index if widths.min() > _MIN_EYE_WIDTH_RATIO * widths.max() else int(widths.argmax())]
