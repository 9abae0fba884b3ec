"""What every training run has: settings of its optimizers, its state, and the step down a gradient."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Optim:
    """Settings of the optimizers (conf/optim).

    Attributes:
        lr: Adam's learning rate of embedder and generator.
        lr_discriminator: Adam's learning rate of the discriminator, W and w0.
        schedule: "constant", or "cosine", which falls to a twentieth of lr.
        warmup: steps in which lr rises from 0.
        betas: Adam's betas of embedder and generator.
        betas_discriminator: Adam's betas of the discriminator.
        eps: Adam's epsilon.
        clip: largest norm of the gradient; 0 is off.
        ema: decay of the averaged weights, 0 to 1.
        discriminator_steps: for each step of the generator.
        adversarial_start: fraction of the run before the discriminator joins, 0 to 1.
        sparse_identities: see `ProjectionDiscriminator`.
    """

    lr: float = 5e-5
    lr_discriminator: float = 2e-4
    schedule: str = "constant"
    warmup: int = 0
    betas: tuple[float, float] = (0.0, 0.999)
    betas_discriminator: tuple[float, float] = (0.0, 0.999)
    eps: float = 1e-5
    clip: float = 10.0
    ema: float = 0.999
    discriminator_steps: int = 2
    adversarial_start: float = 0.0
    sparse_identities: bool = False


@torch.no_grad()
def update_ema(ema: nn.Module, current: nn.Module, decay: float) -> None:
    """Updates an exponential moving average of weights; copies the buffers, which are spectral norm's.

    Args:
        ema: the averaged network, changed in place.
        current: the trained network.
        decay: weight of the old average, 0 to 1.
    """
    for mean, weight in zip(ema.parameters(), current.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
    for average_buffer, buffer in zip(ema.buffers(), current.buffers(), strict=True):
        average_buffer.copy_(buffer)


class RunState(ABC):
    """The complete state of a training run, which `state_dict` saves and `load_state_dict` restores.

    Attributes:
        steps: total number of steps.
        step: number of steps taken.
        optim: settings of the optimizers.
        accelerator: Hugging Face's `Accelerator`, with device, precision and processes.
        ema: the averaged network.
        losses: losses with `reconstruction_terms`.
    """

    steps: int
    step: int
    optim: Optim
    accelerator: Any
    ema: nn.Module
    losses: Any

    @abstractmethod
    def update(self, batch: Any) -> dict[str, float]:
        """Takes one step; returns the losses before weighting.

        Args:
            batch: samples of this process.
        """

    @abstractmethod
    def _parts(self) -> Iterator[tuple[str, Any]]:
        """Yields everything that has a state dict, with its key in state.pt."""

    def state_dict(self) -> dict[str, Any]:
        """Returns weights, optimizers, step and random state, by their keys in state.pt."""
        parts = {name: part.state_dict() for name, part in self._parts()}
        return {**parts, "step": self.step, "rng": torch.get_rng_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a saved state; learning rates, betas and eps keep their current values.

        Args:
            state: result of `state_dict`.
        """
        for name, part in self._parts():
            groups = getattr(part, "param_groups", ())
            settings = [{key: group[key] for key in ("lr", "betas", "eps")} for group in groups]
            part.load_state_dict(state[name])
            for group, current in zip(getattr(part, "param_groups", ()), settings, strict=True):
                group.update(current)  # the saved state may have other settings
        self.step = state["step"]
        torch.set_rng_state(state["rng"].cpu())

    def _descend(self, loss: Tensor, module: nn.Module, *optimizers: torch.optim.Optimizer | None) -> None:
        """Takes one step of the optimizers down the clipped gradient of a loss."""
        module.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        dense = [p for p in module.parameters() if p.grad is not None and not p.grad.is_sparse]
        norm = nn.utils.clip_grad_norm_(dense, self.optim.clip or math.inf)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"step {self.step}: a gradient is not finite; lower optim.lr")
        for optimizer in optimizers:
            if optimizer is not None:
                optimizer.step()

    def _rate(self, progress: float) -> float:
        """Returns the learning rate over `Optim.lr`, 0 to 1, at a progress of 0 to 1."""
        warmup = min(1.0, (self.step + 1) / (self.optim.warmup + 1))
        cosine = 0.05 + 0.95 * (1 + math.cos(math.pi * progress)) / 2
        return warmup * (cosine if self.optim.schedule == "cosine" else 1.0)
