"""Draws episodes (Zakharov et al., ICCV 2019, sec. 3.2)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from fewshot_heads.datasets.augment import Augmentation, rotate_in_depth
from fewshot_heads.datasets.batches import EpisodeBatch
from fewshot_heads.datasets.clips import Clip
from fewshot_heads.datasets.degradation import Degradation
from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.imaging.masks import disocclusion_mask, region_masks
from fewshot_heads.landmarks import OUTER_LIPS, Landmarks
from fewshot_heads.landmarks.aspect_ratio import mouth_aspect_ratios
from fewshot_heads.landmarks.control_points import control_points, warp_points
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.rendering.background import BackgroundModel, blend_backgrounds
from fewshot_heads.rendering.occlusion import head_occlusion_mask
from fewshot_heads.rendering.parsing import person_matte

_log = logging.getLogger(__name__)
# Where the patch of perceptual and adversarial losses is: on the mouth, on the face, or at hair and shoulders.
_PATCH_PROBABILITIES = (0.5, 0.25, 0.25)
_PATCH_STD_CROP_FRACTIONS = (0.05, 0.1, 0.25)  # standard deviation of the patch's center
# Of the episodes of stills, the fraction with a source that is rotated in depth. The others reconstruct an image from
# itself. Measured: with fewer of those, the surroundings of the face get worse.
_STILLS_PSEUDO_PAIR_PROBABILITY = 0.5
_MAX_COUNTED_FRAMES = 200  # more frames of one identity do not increase its probability
# "hard" sampling.
_OTHER_BACKGROUND_PROBABILITY = 0.2  # any of the K images is warped; else the first, which gives the background
_SAME_FRAME_PROBABILITY = 0.08  # source and target are one frame
_OPENING_MOUTH_PROBABILITY = 0.4  # a mouth that opens is rare in most clips, and hard
_OPENING_MOUTH_QUANTILE = 4  # source and target are from the quarters with the most closed and most open mouths
_FAR_CANDIDATES = 4
_FAR_PROBABILITY = 0.5  # the source is the farthest of the candidates


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
        # Cracks keep their place on a face, so two frames of a video may not have them.
        clip = self._degrade(clip, random, cracks=clip.kind == "stills")
        is_still = clip.kind == "stills"
        rotated = random.random() < (_STILLS_PSEUDO_PAIR_PROBABILITY if is_still else self.settings.pseudo_pair_prob)
        corner = self._draw_patch(change.face(landmarks[target]).points, random)
        episode = assemble(clip, shots, source_index, target, change, random if rotated else None)
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
        others = random.choice(count, k - 1, replace=False).tolist()
        # The first image gives the background.
        source_index = int(random.integers(k)) if random.random() < _OTHER_BACKGROUND_PROBABILITY else 0
        return [*others[:source_index], source, *others[source_index:]], source_index, target

    def _draw_hard_pair(self, landmarks: np.ndarray, random: np.random.Generator) -> tuple[int, int]:
        """Draws source and target: often distant, sometimes the same frame, which must be reproduced."""
        target = int(random.integers(len(landmarks)))
        if random.random() < _SAME_FRAME_PROBABILITY:
            return target, target
        if random.random() < _OPENING_MOUTH_PROBABILITY:
            by_mouth = np.argsort(mouth_aspect_ratios(landmarks))
            count = max(len(by_mouth) // _OPENING_MOUTH_QUANTILE, 1)
            return int(random.choice(by_mouth[:count])), int(random.choice(by_mouth[-count:]))
        candidates = random.integers(len(landmarks), size=_FAR_CANDIDATES)
        distances = np.abs(landmarks[candidates] - landmarks[target])[..., :2].mean((1, 2))
        return int(candidates[distances.argmax()] if random.random() < _FAR_PROBABILITY else candidates[0]), target

    def _draw_patch(self, points: np.ndarray, random: np.random.Generator) -> torch.Tensor:
        """Draws the patch's first pixel (x, y), near the mouth, the face, or hair and shoulders."""
        kind = int(random.choice(len(_PATCH_PROBABILITIES), p=_PATCH_PROBABILITIES))
        std = self.size * _PATCH_STD_CROP_FRACTIONS[kind]
        center = points[OUTER_LIPS if kind == 0 else slice(None)].mean(0) + random.normal(0, std, 2)
        patch = min(self.settings.patch_size or self.size, self.size)
        return torch.from_numpy(np.clip(center - patch / 2, 0, self.size - patch).astype(np.int64))


def assemble(
    clip: Clip,
    shots: Sequence[int],
    source_index: int,
    target: int,
    change: Augmentation,
    turn: np.random.Generator | None = None,
) -> EpisodeBatch:
    """Returns one episode without patch and identity; all images have the same augmentation.

    Args:
        clip: the footage.
        shots: K frame numbers of the source images. The background is that of the first.
        source_index: which of the K images is warped.
        target: number of the frame to reenact.
        change: the augmentation.
        turn: random numbers for `rotate_in_depth` of the source images. None does not rotate them.
    """
    landmarks, size = np.asarray(clip.landmarks), change.size
    valid = np.ones((size, size), np.float32)
    sources = {i: (clip.frames[i], landmarks[i], valid) for i in dict.fromkeys(shots)}
    if turn is not None:
        sources = {i: rotate_in_depth(image, points, turn) for i, (image, points, _) in sources.items()}
    images = {i: change.picture(image) for i, (image, _, _) in sources.items()}
    faces = {i: change.face(points) for i, (_, points, _) in sources.items()}
    first, source = shots[0], shots[source_index]
    valid = change.warp(np.minimum(sources[source][2], sources[first][2])).round()
    stickmen = {i: draw_stickman(face.points, size) for i, face in faces.items()}
    source_face, target_face = faces[source], change.face(landmarks[target])
    disocclusion = disocclusion_mask(source_face, target_face, size)
    mattes = {i: person_matte(images[i]) for i in {first, source}}
    background, unknown = _render_background(images[first], faces[first], mattes[first], target_face)
    head_mask = head_occlusion_mask(control_points(source_face), control_points(target_face), size)
    regions = np.stack([*region_masks(target_face.points, size), disocclusion]).astype(np.float32)
    return EpisodeBatch(
        images=to_tensor(np.stack([images[i] for i in shots])),
        stickmen=to_tensor(np.stack([stickmen[i] for i in shots])),
        source_index=torch.tensor(source_index),
        alpha_matte=torch.from_numpy(mattes[source])[None],
        background=background,
        disocclusion=torch.from_numpy(disocclusion)[None],
        head_mask=torch.from_numpy(head_mask)[None],
        background_unknown=unknown,
        source_points=torch.from_numpy(warp_points(source_face)),
        target_points=torch.from_numpy(warp_points(target_face)),
        target=to_tensor(change.picture(clip.frames[target])),
        stickman=to_tensor(draw_stickman(target_face.points, size)),
        regions=torch.from_numpy(regions),
        valid_mask=torch.from_numpy(np.ascontiguousarray(valid))[None],
        face_box=torch.from_numpy(target_face.box.astype(np.float32)),
    )


def _render_background(
    image: np.ndarray, face: Landmarks, matte: np.ndarray, target: Landmarks
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the background [3, S, S] of one image behind the target, and the unknown part [1, S, S].

    Args:
        image: uint8 [S, S, 3].
        face: landmarks of the image, pixels.
        matte: float32 [S, S], 0 to 1, the person in the image.
        target: landmarks of the target, pixels.
    """
    points, target_points = (control_points(landmarks)[None] for landmarks in (face, target))
    model = BackgroundModel(image[None], points, matte[None], torch.device("cpu"))
    images = to_tensor(image[None])
    indices, weights, unknown = model.render(torch.from_numpy(target_points))
    return blend_backgrounds(images, model.plate(images), indices, weights)[0], unknown[0]
