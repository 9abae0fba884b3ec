"""Optimizes style and generator for one person (Zakharov et al., ICCV 2019, sec. 3.3).

Style and w, which meta-learning computes from e_hat, become parameters that start at those values. There is no match
loss, since no e_hat is left to match.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from fewshot_heads.datasets.augment import Augmentation
from fewshot_heads.datasets.clips import Clip, Excerpt
from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings, assemble
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose_distance import pose_distance
from fewshot_heads.models.compositing import WarpInputs
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.training import losses
from fewshot_heads.training.losses import WeightedLosses
from fewshot_heads.training.trainer import Episode, update_ema

_HOLDOUT_MIN_IMAGES = 4  # with fewer, none can be spared for evaluation
_PATIENCE_EVALUATIONS = 4  # without a gain on the held-out images, after which tuning ends


@dataclass(frozen=True)
class FineTuningConfig:
    """How a head is fine-tuned (conf/fine_tune.yaml).

    Attributes:
        steps: optimizer steps; 0 takes `default_steps` of the number of images.
        batch: episodes per step.
        lr: Adam's learning rate of generator and style.
        lr_discriminator: Adam's learning rate of the discriminator and w.
        ema: decay of the averaged weights, which are the ones kept, 0 to 1.
        augment: strength of the augmentation, 0 to 2; see `EpisodeSettings`.
        pseudo_pair_prob: fraction of the episodes whose source is rotated in depth, 0 to 1.
        patch_size: side of the square that perceptual and adversarial losses see, pixels; None is the whole frame.
        weight_interpolation: WiSE-FT's alpha, 0 to 1: how far the weights move from the start to the tuned ones. It is
            the largest one tried where images are held out; with n < 4 images, n / 4 of it is taken.
        eval_every: steps between evaluations on the held-out images.
        seed: of the episodes; the same one tunes the same head.
    """

    steps: int = 0
    batch: int = 2
    lr: float = 1e-4
    lr_discriminator: float = 2e-4
    ema: float = 0.972
    augment: float = 0.5
    pseudo_pair_prob: float = 0.3
    patch_size: int | None = 128
    weight_interpolation: float = 0.36
    eval_every: int = 10
    seed: int = 0


@dataclass(frozen=True)
class FineTuned:
    """The result of fine-tuning.

    Attributes:
        style: [P], every AdaIN scale and shift.
        generator: the generator's state dict.
        curve: (step, loss on the held-out images), empty where none could be held out.
    """

    style: Tensor
    generator: dict[str, Tensor]
    curve: list[tuple[int, float]]


def default_steps(images: int) -> int:
    """Steps for a number of images: 40 for one, 80 for 8, 160 for 32 and more."""
    return int(np.interp(images, [1, 8, 32], [40, 80, 160]))


def holdout_indices(pictures: int) -> list[int]:
    """Indices of the pictures that only tell when to stop; never the first, whose background stays."""
    return list(range(2, pictures, 4)) if pictures >= _HOLDOUT_MIN_IMAGES else []


def tune(
    generator: nn.Module, style: Tensor, clip: Clip, criterion: WeightedLosses, settings: FineTuningConfig,
    critic: ProjectionDiscriminator | None = None, e_hat: Tensor | None = None, on_step: Callable[[int, int],
    object] | None = None,
) -> FineTuned:  # fmt: skip
    """Fine-tunes copies; what is passed in stays as it is.

    style [P]: psi' = P e_hat, where it starts. clip: the T pictures. critic: the discriminator of meta-learning, with
    e_hat [E] for w' = w0 + e_hat; without it the adversarial terms are left out.
    on_step: called with (steps done, steps in all).
    """
    return _Tuner(generator, style, clip, criterion, settings, critic, e_hat).run(on_step)


class TunedState(NamedTuple):
    """style [1, P] and the generator's state."""

    style: Tensor
    generator: dict[str, Tensor]


class _Tuner:
    def __init__(
        self, generator: nn.Module, style: Tensor, clip: Clip, criterion: WeightedLosses, settings: FineTuningConfig,
        critic: ProjectionDiscriminator | None, e_hat: Tensor | None,
    ):  # fmt: skip
        self.settings, self.criterion, self.device = settings, criterion, style.device
        self.generator = copy.deepcopy(generator).requires_grad_(True)
        self.style = nn.Parameter(style.detach().clone()[None])
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.average_style = self.style.detach().clone()
        self.probe = copy.deepcopy(self.average)
        # P made the style; from here on the style is free and P has nothing to say.
        self.tuned = [self.style, *(p for n, p in self.generator.named_parameters() if not n.startswith("project"))]
        self.optimizer = torch.optim.Adam(self.tuned, settings.lr)
        self.critic = None
        if critic is not None and e_hat is not None and criterion.weight("adversarial"):
            self.critic = copy.deepcopy(critic.discriminator).requires_grad_(True).to(self.device)
            self.w = nn.Parameter((critic.w0.detach().to(self.device) + e_hat.to(self.device))[None])
            self.critic_optimizer = torch.optim.Adam(
                [self.w, *self.critic.parameters()], settings.lr_discriminator, (0.0, 0.999)
            )
        count = len(clip.frames)
        spared = holdout_indices(count)
        kept = [i for i in range(count) if i not in spared]
        self.steps = settings.steps or default_steps(count)
        # A single picture has little to teach that is not carried from it anyway.
        self.weight_interpolation = settings.weight_interpolation * min(1.0, count / _HOLDOUT_MIN_IMAGES)
        drawn = EpisodeSettings(
            1, "uniform", settings.augment, pseudo_pair_prob=settings.pseudo_pair_prob, patch_size=criterion.patch_size
        )
        self.episodes = Episodes([Excerpt(clip, kept)], self.steps * settings.batch, drawn, settings.seed)
        same = Augmentation.draw(np.random.default_rng(0), self.episodes.size, 0.0)
        looks = [assemble(clip, [_nearest(clip, i, kept)], 0, i, same) for i in spared]
        self.held_out = self._moved(default_collate(looks)) if looks else None

    def run(self, on_step: Callable[[int, int], object] | None) -> FineTuned:
        start, best, best_look = self._state(), self._state(), 0
        curve: list[tuple[int, float]] = []
        for step in range(self.steps + 1):
            if self.held_out is not None and (step % self.settings.eval_every == 0 or step == self.steps):
                curve.append((step, self._loss(self._state())))
                if curve[-1][1] <= min(loss for _, loss in curve):
                    best, best_look = self._state(), len(curve)
                elif len(curve) - best_look >= _PATIENCE_EVALUATIONS:
                    break
            if step < self.steps:
                self._step(step)
                if on_step is not None:
                    on_step(step + 1, self.steps)
        if self.held_out is None:
            return self._tuned(_between(start, self._state(), self.weight_interpolation), curve)
        shares = [_between(start, best, share) for share in np.linspace(0, self.weight_interpolation, 5)]
        return self._tuned(min(shares, key=self._loss), curve)

    def _step(self, step: int) -> None:
        batch = self.settings.batch
        episode = self._moved(default_collate([self.episodes[step * batch + i] for i in range(batch)]))
        frame = self._frame(self.generator, self.style, episode)
        terms = self.criterion.reconstruction_terms(frame, episode)
        seen, real, stickman = (
            self.criterion.crop_patch(x, episode) for x in (frame, episode["driver"], episode["stickman"])
        )
        if self.critic is not None:
            terms |= losses.generator_adversarial_loss(
                self.critic, seen, real, stickman, self.w.detach().expand(batch, -1), self.criterion.relativistic
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.criterion.total(terms, step).backward()
        self.optimizer.step()
        if self.critic is not None:
            self.critic_optimizer.zero_grad(set_to_none=True)
            losses.discriminator_loss(
                self.critic, seen, real, stickman, self.w.expand(batch, -1), self.criterion.relativistic
            ).backward()
            self.critic_optimizer.step()
        keep = min(self.settings.ema, (1 + step) / (4 + step))
        with torch.no_grad():
            self.average_style.lerp_(self.style, 1 - keep)
        update_ema(self.average, self.generator, keep)

    @staticmethod
    def _frame(generator: nn.Module, style: Tensor, episode: Episode) -> Tensor:
        texture = WarpInputs.of(episode) if generator.textured else None
        return generator(episode["stickman"], style.expand(len(episode["stickman"]), -1), texture)

    @torch.no_grad()
    def _loss(self, state: TunedState) -> float:
        """Of the held-out pictures."""
        assert self.held_out is not None
        self.probe.load_state_dict(state.generator)
        frame = self._frame(self.probe, state.style, self.held_out)
        return float(self.criterion.total(self.criterion.reconstruction_terms(frame, self.held_out), 0))

    def _state(self) -> TunedState:
        generator = {key: value.detach().clone() for key, value in self.average.state_dict().items()}
        return TunedState(self.average_style.clone(), generator)

    def _tuned(self, state: TunedState, curve: list[tuple[int, float]]) -> FineTuned:
        return FineTuned(state.style[0].cpu(), {key: value.cpu() for key, value in state.generator.items()}, curve)

    def _moved(self, episode: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: value.to(self.device) for key, value in episode.items()}


def _nearest(clip: Clip, driver: int, others: Sequence[int]) -> int:
    """The picture that would show the driver when the head is animated."""
    faces = [Landmarks.from_array(points) for points in clip.landmarks]
    return min(others, key=lambda i: pose_distance(faces[i], faces[driver]))


def _between(start: TunedState, end: TunedState, share: float) -> TunedState:
    """Weights on the way from one state to another (Wortsman et al., WiSE-FT, CVPR 2022): what was learnt from
    many people is forgotten later than what one person teaches is learnt."""
    mixed = {key: value.lerp(end.generator[key], share) for key, value in start.generator.items()}
    return TunedState(start.style.lerp(end.style, share), mixed)
