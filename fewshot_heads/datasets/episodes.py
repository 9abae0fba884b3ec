"""Episodes: K pictures of one person and one more to reenact (Zakharov et al., ICCV 2019, sec. 3.2)."""

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
from fewshot_heads.imaging.segmentation import person_matte
from fewshot_heads.landmarks import OUTER_LIPS, Landmarks
from fewshot_heads.landmarks.aspect_ratio import mouth_aspect_ratios
from fewshot_heads.landmarks.control_points import control_points, warp_points
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.rendering.background import BackgroundModel, blend_backgrounds
from fewshot_heads.rendering.occlusion import head_occlusion_mask

_log = logging.getLogger(__name__)
_PATCHES = (0.5, 0.25, 0.25)  # shares of the patches at the mouth, about the face, farther out
_TURNED_STILLS = 0.5  # the rest keeps A to A exact; measured: with fewer of those the surroundings of the face suffer


@dataclass(frozen=True)
class EpisodeSettings:
    """How episodes are drawn (conf/data).

    k_shot: pictures the embedder sees. sampling: "uniform" draws all frames of a clip alike, "hard" prefers
    frames that are far apart and mouths that open. augment: strength of `Augmentation`, 0 is off. worn: share of the
    episodes whose pictures have `Degradation`. pseudo: share of the episodes of clips (of stills: every other) whose
    pictures are `rotate_in_depth`. patch: side in pixels of the square that perceptual and adversarial terms look
    at, None
    for the whole frame: their cost goes with it.
    """

    k_shot: int = 8
    sampling: str = "uniform"
    augment: float = 0.0
    degradation_prob: float = 0.0
    pseudo_pair_prob: float = 0.0
    patch_size: int | None = None


class Episodes(Dataset):
    """Sample i is a pure function of (seed, i): the order survives a restart, and any number of workers.

    A sample is what `assemble` gives, with corner [2] of the patch (x, y) and identity [], an index.
    Raises BadInput when no clip is long enough for K + 1 pictures.
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
            people = len({clip.identity for clip in clips} - {clip.identity for clip in self.clips})
            _log.warning("left out: %d clips too short for k_shot=%d and one more, and with them all of %d people",
                         short, settings.k_shot, people)  # fmt: skip
        sizes = {clip.size: clip for clip in self.clips}
        if len(sizes) > 1:
            said = ", ".join(f"{clip.identity} of {size} px" for size, clip in sorted(sizes.items()))
            raise BadInput(f"clips of different sizes ({said}); prepare them with one size")
        (self.size,) = sizes
        self.identities = sorted({clip.identity for clip in self.clips})
        self._by_identity: dict[str, list[Clip]] = {name: [] for name in self.identities}
        for clip in self.clips:
            self._by_identity[clip.identity].append(clip)
        # Square root: those with much footage come more often, but do not drown the others.
        footage = np.array([sum(len(clip.frames) for clip in group) for group in self._by_identity.values()], float)
        odds = np.sqrt(np.minimum(footage, 200))
        self._odds = odds / odds.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> EpisodeBatch:
        random = np.random.default_rng((self.seed, index))
        identity, clip = self._draw(random)
        landmarks = np.asarray(clip.landmarks)
        shots, shown, driver = self._choose(clip, landmarks, random)
        change = Augmentation.draw(random, self.size, self.settings.augment)
        # Cracks stay where they are on a face: in two frames of a clip they would not.
        clip = self._worn(clip, random, cracks=clip.kind == "stills")
        pseudo = random.random() < (_TURNED_STILLS if clip.kind == "stills" else self.settings.pseudo_pair_prob)
        corner = self._corner(change.face(landmarks[driver]).points, random)
        episode = assemble(clip, shots, shown, driver, change, random if pseudo else None)
        return episode._replace(patch_corner=corner, identity=torch.tensor(identity))

    def _draw(self, random: np.random.Generator) -> tuple[int, Clip]:
        """Somebody, by index, and a clip of theirs."""
        identity = int(random.choice(len(self.identities), p=self._odds))
        group = self._by_identity[self.identities[identity]]
        return identity, group[random.choice(len(group))]

    def _worn(self, clip: Clip, random: np.random.Generator, cracks: bool = True) -> Clip:
        """The clip, or in the share of episodes that is `worn` a worn one."""
        worn = self.settings.degradation_prob and random.random() < self.settings.degradation_prob
        return Degradation.draw(random, cracks).apply_to_clip(clip) if worn else clip

    def _choose(
        self, clip: Clip, landmarks: np.ndarray, random: np.random.Generator
    ) -> tuple[list[int], int, int]:  # fmt: skip
        """Indices of the K pictures, which of these the texture shows, and the index of the driver."""
        count, k = len(clip.frames), self.settings.k_shot
        if count <= k:  # stills: pictures may come twice, each time turned another way
            return random.integers(count, size=k).tolist(), 0, int(random.integers(count))
        if self.settings.sampling == "uniform":
            *shots, driver = random.choice(count, k + 1, replace=False).tolist()
            return shots, int(random.integers(k)), driver
        source, driver = self._hard_pair(landmarks, random)
        others = random.choice(count, k - 1, replace=False).tolist()
        # Mostly the background that stays belongs to the picture that moves, as with a single source.
        shown = int(random.integers(k)) if random.random() < 0.2 else 0
        return [*others[:shown], source, *others[shown:]], shown, driver

    def _hard_pair(self, landmarks: np.ndarray, random: np.random.Generator) -> tuple[int, int]:
        """Source and driver: often far apart, sometimes one and the same, so that A to A comes back as A."""
        driver = int(random.integers(len(landmarks)))
        if random.random() < 0.08:
            return driver, driver
        if random.random() < 0.4:  # a mouth that opens is rare in most clips, and hard
            by_opening = np.argsort(mouth_aspect_ratios(landmarks))
            few = max(len(by_opening) // 4, 1)
            return int(random.choice(by_opening[:few])), int(random.choice(by_opening[-few:]))
        candidates = random.integers(len(landmarks), size=4)
        apart = np.abs(landmarks[candidates] - landmarks[driver])[..., :2].mean((1, 2))
        return int(candidates[apart.argmax()] if random.random() < 0.5 else candidates[0]), driver

    def _corner(self, points: np.ndarray, random: np.random.Generator) -> torch.Tensor:
        """The patch lies on the mouth, about the face, or farther out at hair and shoulders."""
        place = int(random.choice(3, p=_PATCHES))
        spread = self.size * (0.05, 0.1, 0.25)[place]
        center = points[OUTER_LIPS if place == 0 else slice(None)].mean(0) + random.normal(0, spread, 2)
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
    """One episode without patch and identity, all of it augmented alike.

    Args:
        clip: the footage.
        shots: K frames that the embedder sees; the background is that of the first.
        source_index: which of these is warped.
        target: the frame to reenact.
        change: the augmentation.
        turn: rotates the images in depth by it, see `rotate_in_depth`; None leaves them.
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
    """The background [3, S, S] that one image knows behind the target, and [1, S, S] where it shows only a head."""
    points, target_points = (control_points(landmarks)[None] for landmarks in (face, target))
    model = BackgroundModel(image[None], points, matte[None], torch.device("cpu"))
    images = to_tensor(image[None])
    use, shares, unknown = model.render(torch.from_numpy(target_points))
    return blend_backgrounds(images, model.plate(images), use, shares)[0], unknown[0]
