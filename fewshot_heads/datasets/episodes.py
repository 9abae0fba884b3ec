"""Draws episodes (Zakharov et al., ICCV 2019, sec. 3.2)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from fewshot_heads.datasets.assembly import assemble
from fewshot_heads.datasets.augment import Augmentation
from fewshot_heads.datasets.batches import EpisodeBatch
from fewshot_heads.datasets.clips import Clip
from fewshot_heads.datasets.degradation import Degradation
from fewshot_heads.datasets.layer_store import LayerStore, separate_image
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import OUTER_LIPS
from fewshot_heads.landmarks.aspect_ratio import mouth_aspect_ratios

_log = logging.getLogger(__name__)
# Where the patch of perceptual and adversarial losses is: on the mouth, on the face, or at hair and shoulders.
_PATCH_PROBABILITIES = (0.5, 0.25, 0.25)
_PATCH_STD_CROP_FRACTIONS = (0.05, 0.1, 0.25)  # standard deviation of the patch's center
# Of the episodes of a person with few stills, the fraction with a source that is rotated in depth. The others
# reconstruct an image from itself. Measured: with fewer of those, the surroundings of the face get worse.
_STILLS_PSEUDO_PAIR_PROBABILITY = 0.5
_MAX_COUNTED_FRAMES = 200  # more frames of one identity do not increase its probability
# "hard" sampling.
_SAME_FRAME_PROBABILITY = 0.08  # source and target are one frame
_OPENING_MOUTH_PROBABILITY = 0.4  # a mouth that opens is rare in most clips, and hard
_OPENING_MOUTH_QUANTILE = 4  # source and target are from the quarters with the most closed and most open mouths
_MAX_SOURCE_FRAMES = 6  # of a clip, evenly spaced: their layers are kept
_FAR_PROBABILITY = 0.5  # the source is the farthest in pose


@dataclass(frozen=True)
class EpisodeSettings:
    """How episodes are drawn (conf/data).

    Attributes:
        k_shot: K, number of source images.
        sampling: "uniform" draws all frames of a clip equally, "hard" prefers distant frames and opening mouths.
        augment: strength of `Augmentation`, 0 is off.
        degradation_prob: fraction of the episodes with `Degradation`, 0 to 1.
        pseudo_pair_prob: fraction of a video's episodes with `rotate_in_depth`, 0 to 1. For stills it is a half.
        patch_size: side of the square that perceptual and adversarial losses see, pixels. None is the whole frame. A
            smaller patch costs less time.
    """

    k_shot: int = 8
    sampling: str = "uniform"
    augment: float = 0.0
    degradation_prob: float = 0.0
    pseudo_pair_prob: float = 0.0
    patch_size: int | None = None


class Episodes(Dataset):
    """A dataset of random episodes, each an `EpisodeBatch` without a batch dimension.

    Sample i is a pure function of (seed, i). The samples therefore do not depend on restarts or the number of workers.

    Args:
        clips: footage of one frame size. A video with fewer than K + 1 frames is left out.
        length: number of episodes.
        settings: how episodes are drawn.
        seed: of all random numbers.

    Attributes:
        rows: number of different `identity` in the samples.
        layers: keeps the layers of source images; in memory, unless it is replaced.

    Raises:
        BadInput: no clip is long enough, or the clips have different sizes.
    """

    def __init__(self, clips: Sequence[Clip], length: int, settings: EpisodeSettings, seed: int = 0):
        self.settings, self.length, self.seed = settings, length, seed
        self.clips = [clip for clip in clips if clip.kind == "stills" or len(clip.frames) > settings.k_shot]
        if not self.clips:
            longest = max((len(clip.frames) for clip in clips), default=0)
            raise BadInput(
                f"data.k_shot={settings.k_shot}: takes clips of {settings.k_shot + 1} frames or more, the longest of "
                f"{len(clips)} has {longest}; lower data.k_shot or prepare longer clips"
            )
        if short := len(clips) - len(self.clips):
            identities = len({clip.identity for clip in clips} - {clip.identity for clip in self.clips})
            _log.warning("left out: %d clips too short for k_shot=%d and one more, and with them all of %d people",
                         short, settings.k_shot, identities)  # fmt: skip
        sizes = {clip.size: clip for clip in self.clips}
        if len(sizes) > 1:
            examples = ", ".join(f"{clip.identity} of {size} px" for size, clip in sorted(sizes.items()))
            raise BadInput(f"clips of different sizes ({examples}); prepare them with one size")
        (self.size,) = sizes
        self.identities = sorted({clip.identity for clip in self.clips})
        self._by_identity: dict[str, list[Clip]] = {name: [] for name in self.identities}
        for clip in self.clips:
            self._by_identity[clip.identity].append(clip)
        self.rows = len(self.identities)
        self.layers = LayerStore()
        # The square root draws identities with much footage more often, without excluding the others.
        frames = np.array([sum(len(clip.frames) for clip in group) for group in self._by_identity.values()], float)
        odds = np.sqrt(np.minimum(frames, _MAX_COUNTED_FRAMES))
        self._probabilities = odds / odds.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> EpisodeBatch:
        random = np.random.default_rng((self.seed, index))
        identity, clip = self._draw(random)
        landmarks = np.asarray(clip.landmarks)
        shots, source_index, target = self._draw_frames(clip, landmarks, random)
        change = Augmentation.draw(random, self.size, self.settings.augment)
        original, is_still = clip, clip.kind == "stills"
        # Cracks keep their place on a face, so two frames of a video may not have them.
        clip = self._degrade(clip, random, cracks=is_still)
        lone = is_still and len(clip.frames) <= self.settings.k_shot
        rotated = random.random() < (_STILLS_PSEUDO_PAIR_PROBABILITY if lone else self.settings.pseudo_pair_prob)
        corner = self._draw_patch(change.face(landmarks[target]).points, random)
        unchanged = clip is original and not rotated
        layers_of = self.layers if unchanged else separate_image
        episode = assemble(clip, shots, source_index, target, change, random if rotated else None, layers_of)
        return episode._replace(patch_corner=corner, identity=torch.tensor(identity))

    def _draw(self, random: np.random.Generator) -> tuple[int, Clip]:
        """Draws an identity, an index, and one of its clips."""
        identity = int(random.choice(len(self.identities), p=self._probabilities))
        group = self._by_identity[self.identities[identity]]
        return identity, group[random.choice(len(group))]

    def _degrade(self, clip: Clip, random: np.random.Generator, cracks: bool = True) -> Clip:
        """Returns the clip, degraded with the probability of the settings."""
        degraded = self.settings.degradation_prob and random.random() < self.settings.degradation_prob
        return Degradation.draw(random, cracks).apply_to_clip(clip) if degraded else clip

    def _draw_frames(
        self, clip: Clip, landmarks: np.ndarray, random: np.random.Generator
    ) -> tuple[list[int], int, int]:  # fmt: skip
        """Draws K source images, which of them is warped, and the target."""
        count, k = len(clip.frames), self.settings.k_shot
        if count <= k:  # stills may repeat, each time with another rotation in depth
            return random.integers(count, size=k).tolist(), 0, int(random.integers(count))
        if self.settings.sampling == "uniform":
            *shots, target = random.choice(count, k + 1, replace=False).tolist()
            return shots, int(random.integers(k)), target
        source, target = self._draw_hard_pair(landmarks, random)
        return [source, *random.choice(count, k - 1, replace=False).tolist()], 0, target

    def _draw_hard_pair(self, landmarks: np.ndarray, random: np.random.Generator) -> tuple[int, int]:
        """Draws source and target: often distant, sometimes the same frame, which must be reproduced."""
        sources = np.unique(np.linspace(0, len(landmarks) - 1, _MAX_SOURCE_FRAMES).round().astype(int))
        if random.random() < _SAME_FRAME_PROBABILITY:
            source = int(random.choice(sources))
            return source, source
        if random.random() < _OPENING_MOUTH_PROBABILITY:
            mouths = mouth_aspect_ratios(landmarks)
            by_mouth = np.argsort(mouths)
            count = max(len(by_mouth) // _OPENING_MOUTH_QUANTILE, 1)
            return int(sources[mouths[sources].argmin()]), int(random.choice(by_mouth[-count:]))
        target = int(random.integers(len(landmarks)))
        distances = np.abs(landmarks[sources] - landmarks[target])[..., :2].mean((1, 2))
        farthest = sources[distances.argmax()]
        return int(farthest if random.random() < _FAR_PROBABILITY else random.choice(sources)), target

    def _draw_patch(self, points: np.ndarray, random: np.random.Generator) -> torch.Tensor:
        """Draws the patch's first pixel (x, y), near the mouth, the face, or hair and shoulders."""
        kind = int(random.choice(len(_PATCH_PROBABILITIES), p=_PATCH_PROBABILITIES))
        std = self.size * _PATCH_STD_CROP_FRACTIONS[kind]
        center = points[OUTER_LIPS if kind == 0 else slice(None)].mean(0) + random.normal(0, std, 2)
        patch = min(self.settings.patch_size or self.size, self.size)
        return torch.from_numpy(np.clip(center - patch / 2, 0, self.size - patch).astype(np.int64))
