"""Optimizes style and generator for one person (Zakharov et al., ICCV 2019, sec. 3.3).

Style and w, which meta-learning computes from e_hat, become parameters. No e_hat is left that a loss could match.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fewshot_heads.datasets.assembly import assemble
from fewshot_heads.datasets.augment import Augmentation
from fewshot_heads.datasets.batches import EpisodeBatch, collate, to_device
from fewshot_heads.datasets.clips import Clip, Excerpt
from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose_distance import pose_distance
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.training import losses
from fewshot_heads.training.forward import warp_inputs
from fewshot_heads.training.run_state import update_ema
from fewshot_heads.training.weighted_losses import WeightedLosses

_HOLDOUT_MIN_IMAGES = 4  # with fewer images, none is held out
_PATIENCE_EVALUATIONS = 4  # evaluations without a gain on the held-out images, after which tuning ends


@dataclass(frozen=True)
class FineTuningConfig:
    """How a head is fine-tuned (conf/fine_tune.yaml).

    Attributes:
        steps: optimizer steps; 0 takes `default_steps` of the number of images.
        batch: episodes per step.
        lr: Adam's learning rate of generator and style.
        lr_discriminator: Adam's learning rate of the discriminator and w.
        ema: decay of the averaged weights, 0 to 1. The result has the averaged weights.
        augment: strength of the augmentation, 0 to 2; see `EpisodeSettings`.
        pseudo_pair_prob: fraction of the episodes whose source is rotated in depth, 0 to 1.
        patch_size: side of the square that perceptual and adversarial losses see, pixels; None is the whole frame.
        weight_interpolation: WiSE-FT's alpha, 0 to 1, from the initial to the tuned weights. With held-out images,
            smaller values are tried too. With n < 4 images, alpha is multiplied by n / 4.
        eval_every: steps between evaluations on the held-out images.
        seed: of the episodes. The same seed gives the same head.
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
        curve: (step, loss on the held-out images), empty without held-out images.
    """

    style: Tensor
    generator: dict[str, Tensor]
    curve: list[tuple[int, float]]


def default_steps(images: int) -> int:
    """Returns the steps: 40 for one image, 80 for 8, 160 for 32 or more."""
    return int(np.interp(images, [1, 8, 32], [40, 80, 160]))


def holdout_indices(images: int) -> list[int]:
    """Returns which images are held out, never the first, which provides the background."""
    return list(range(2, images, 4)) if images >= _HOLDOUT_MIN_IMAGES else []


def tune(
    generator: nn.Module,
    style: Tensor,
    clip: Clip,
    criterion: WeightedLosses,
    settings: FineTuningConfig,
    discriminator: ProjectionDiscriminator | None = None,
    e_hat: Tensor | None = None,
    on_step: Callable[[int, int], object] | None = None,
) -> FineTuned:
    """Fine-tunes copies of the networks and returns the result.

    Args:
        generator: the initial weights.
        style: [P], the initial style, psi' = P e_hat.
        clip: the T images of the person.
        criterion: the losses.
        settings: number of steps, learning rates and the like.
        discriminator: the discriminator of meta-learning. None leaves the adversarial losses out.
        e_hat: [E], for the initial w' = w0 + e_hat.
        on_step: called with (steps done, total steps).
    """
    return _HeadTuner(generator, style, clip, criterion, settings, discriminator, e_hat).run(on_step)


class _State(NamedTuple):
    """A style [1, P] and the generator's state dict."""

    style: Tensor
    generator: dict[str, Tensor]


class _HeadTuner:
    """One run of `tune`."""

    def __init__(
        self,
        generator: nn.Module,
        style: Tensor,
        clip: Clip,
        criterion: WeightedLosses,
        settings: FineTuningConfig,
        discriminator: ProjectionDiscriminator | None,
        e_hat: Tensor | None,
    ):
        self.settings, self.criterion, self.device = settings, criterion, style.device
        self.generator = copy.deepcopy(generator).requires_grad_(True)
        self.style = nn.Parameter(style.detach().clone()[None])
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.average_style = self.style.detach().clone()
        self.probe = copy.deepcopy(self.average)
        # The projection P made the initial style. Now the style itself is optimized, and P is not.
        tuned_weights = [weight for name, weight in self.generator.named_parameters() if not name.startswith("project")]
        self.optimizer = torch.optim.Adam([self.style, *tuned_weights], settings.lr)
        self.discriminator = None
        if discriminator is not None and e_hat is not None and criterion.weight("adversarial"):
            self.discriminator = copy.deepcopy(discriminator.discriminator).requires_grad_(True).to(self.device)
            self.w = nn.Parameter((discriminator.w0.detach().to(self.device) + e_hat.to(self.device))[None])
            self.discriminator_optimizer = torch.optim.Adam(
                [self.w, *self.discriminator.parameters()], settings.lr_discriminator, (0.0, 0.999)
            )
        self._draw_episodes(clip)

    def _draw_episodes(self, clip: Clip) -> None:
        """Sets up the episodes for training and the batch of held-out images."""
        settings, count = self.settings, len(clip.frames)
        holdout = holdout_indices(count)
        training = [i for i in range(count) if i not in holdout]
        self.steps = settings.steps or default_steps(count)
        # With few images, most target pixels are warped from the source anyway, so tuning has less to gain.
        self.interpolation = settings.weight_interpolation * min(1.0, count / _HOLDOUT_MIN_IMAGES)
        drawing = EpisodeSettings(
            1, "uniform", settings.augment, 0.0, settings.pseudo_pair_prob, self.criterion.patch_size
        )
        self.episodes = Episodes([Excerpt(clip, training)], self.steps * settings.batch, drawing, settings.seed)
        unchanged = Augmentation.draw(np.random.default_rng(0), self.episodes.size, 0.0)
        evaluated = [assemble(clip, [_nearest(clip, i, training)], 0, i, unchanged) for i in holdout]
        self.holdout = to_device(collate(evaluated), self.device) if evaluated else None

    def run(self, on_step: Callable[[int, int], object] | None) -> FineTuned:
        """Returns the interpolated weights after all steps, or of the best evaluation."""
        start, best, best_evaluation = self._state(), self._state(), 0
        curve: list[tuple[int, float]] = []
        for step in range(self.steps + 1):
            if self.holdout is not None and (step % self.settings.eval_every == 0 or step == self.steps):
                curve.append((step, self._evaluate(self._state())))
                if curve[-1][1] <= min(loss for _, loss in curve):
                    best, best_evaluation = self._state(), len(curve)
                elif len(curve) - best_evaluation >= _PATIENCE_EVALUATIONS:
                    break
            if step < self.steps:
                self._step(step)
                if on_step is not None:
                    on_step(step + 1, self.steps)
        if self.holdout is None:
            return self._result(_interpolate(start, self._state(), self.interpolation), curve)
        states = [_interpolate(start, best, alpha) for alpha in np.linspace(0, self.interpolation, 5)]
        return self._result(min(states, key=self._evaluate), curve)

    def _step(self, step: int) -> None:
        """Takes one step of generator and style, then of the discriminator, and updates the averages."""
        count = self.settings.batch
        batch = to_device(collate([self.episodes[step * count + i] for i in range(count)]), self.device)
        frame = _reenact(self.generator, self.style, batch)
        terms = self.criterion.reconstruction_terms(frame, batch)
        fake, real, stickman = (
            self.criterion.crop_patch(image, batch) for image in (frame, batch.target, batch.stickman)
        )
        relativistic = self.criterion.relativistic
        if self.discriminator is not None:
            w = self.w.detach().expand(count, -1)
            terms |= losses.generator_adversarial_loss(self.discriminator, fake, real, stickman, w, relativistic)
        self.optimizer.zero_grad(set_to_none=True)
        self.criterion.total(terms, step).backward()
        self.optimizer.step()
        if self.discriminator is not None:
            self.discriminator_optimizer.zero_grad(set_to_none=True)
            w = self.w.expand(count, -1)
            losses.discriminator_loss(self.discriminator, fake, real, stickman, w, relativistic).backward()
            self.discriminator_optimizer.step()
        decay = min(self.settings.ema, (1 + step) / (4 + step))
        with torch.no_grad():
            self.average_style.lerp_(self.style, 1 - decay)
        update_ema(self.average, self.generator, decay)

    @torch.no_grad()
    def _evaluate(self, state: _State) -> float:
        """Returns the loss on the held-out images."""
        assert self.holdout is not None
        self.probe.load_state_dict(state.generator)
        terms = self.criterion.reconstruction_terms(_reenact(self.probe, state.style, self.holdout), self.holdout)
        return float(self.criterion.total(terms, 0))

    def _state(self) -> _State:
        generator = {key: value.detach().clone() for key, value in self.average.state_dict().items()}
        return _State(self.average_style.clone(), generator)

    def _result(self, state: _State, curve: list[tuple[int, float]]) -> FineTuned:
        return FineTuned(state.style[0].cpu(), {key: value.cpu() for key, value in state.generator.items()}, curve)


def _reenact(generator: nn.Module, style: Tensor, batch: EpisodeBatch) -> Tensor:
    """Returns the frames [B, 3, S, S] of a batch with one style [1, P]."""
    texture = warp_inputs(batch) if generator.textured else None
    return generator(batch.stickman, style.expand(len(batch.stickman), -1), texture)


def _nearest(clip: Clip, target: int, others: Sequence[int]) -> int:
    """Returns the index of the image that animation would warp to the target."""
    faces = [Landmarks.from_array(points) for points in clip.landmarks]
    return min(others, key=lambda i: pose_distance(faces[i], faces[target]))


def _interpolate(start: _State, end: _State, alpha: float) -> _State:
    """Returns weights between two states (WiSE-FT, Wortsman et al., CVPR 2022).

    The interpolated weights fit the person almost as well as the tuned ones, and forget less of the other people.
    """
    generator = {key: value.lerp(end.generator[key], alpha) for key, value in start.generator.items()}
    return _State(start.style.lerp(end.style, alpha), generator)
