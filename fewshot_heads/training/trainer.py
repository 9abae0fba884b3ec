"""One step of meta-learning (Zakharov et al., ICCV 2019, sec. 3.2).

The same code trains every preset and the inpainters. The loop is in `training.loop`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fewshot_heads.datasets.batches import TrainingBatch, to_device
from fewshot_heads.models import Networks, build, build_discriminator
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.training import losses
from fewshot_heads.training.forward import predict
from fewshot_heads.training.weighted_losses import LossConfig, WeightedLosses


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
        texture_dropout: fraction of the steps that synthesize the frame from e_hat alone, 0 to 1.
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
    texture_dropout: float = 0.0
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


class Training:
    """The complete state of a training run, which `state_dict` saves and `load_state_dict` restores.

    Args:
        spec: specification of the networks, see `models.build`.
        identities: number of identities, rows of W.
        steps: total number of generator steps.
        table: losses and their weights, see `WeightedLosses`.
        optim: settings of the optimizers.
        accelerator: Hugging Face's `Accelerator`, with device, precision and processes.
        patch_size: side of the patch that perceptual and adversarial losses see, pixels; None for the whole frame.
        seed: of all random numbers.
        start: networks whose weights are the initial ones; None for random weights.

    Raises:
        BadInput: as `WeightedLosses`.
    """

    def __init__(
        self, spec: dict[str, Any], identities: int, steps: int, table: LossConfig, optim: Optim, accelerator: Any,
        patch_size: int | None = None, seed: int = 0, start: Networks | None = None,
    ):  # fmt: skip
        torch.manual_seed(seed)
        self.steps, self.optim, self.seed, self.accelerator = steps, optim, seed, accelerator
        self.losses = WeightedLosses(table, patch_size).to(accelerator.device)
        networks = build(spec)
        if start is not None:
            networks.load_state_dict(start.state_dict())
        critic = ProjectionDiscriminator(
            build_discriminator(spec), identities, spec["embedding"], optim.sparse_identities
        )
        self.ema = copy.deepcopy(networks).eval().requires_grad_(False).to(accelerator.device)
        self.networks, self.critic = networks, critic
        self.optimizer = torch.optim.Adam(networks.parameters(), optim.lr, optim.betas, optim.eps)
        dense = [p for p in critic.parameters() if not (optim.sparse_identities and p is critic.W.weight)]
        rates: dict[str, Any] = {"lr": optim.lr_discriminator, "betas": optim.betas_discriminator, "eps": optim.eps}
        self.critic_optimizer = torch.optim.Adam(dense, **rates)
        self.table_optimizer = torch.optim.SparseAdam([critic.W.weight], **rates) if optim.sparse_identities else None
        self.shared_networks, self.shared_critic = accelerator.prepare(networks, critic)
        self.step = 0

    def compile(self) -> None:
        """Compiles embedder, generator and discriminator with torch.compile."""
        for part in (*self.networks.children(), self.critic.discriminator):
            part.compile()

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

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """Yields everything that has a state dict, with its key in state.pt."""
        yield from {"networks": self.networks, "ema": self.ema, "critic": self.critic}.items()
        yield from {"optimiser": self.optimizer, "critic_optimiser": self.critic_optimizer}.items()
        if self.table_optimizer is not None:
            yield "table_optimiser", self.table_optimizer

    def update(self, batch: TrainingBatch) -> dict[str, float]:
        """Takes one step of the generator, then of the discriminator; returns the losses before weighting.

        Args:
            batch: samples of this process.

        Raises:
            FloatingPointError: a loss or a gradient is not finite.
        """
        optim, progress = self.optim, self.step / self.steps
        batch = to_device(batch, self.accelerator.device)
        identity = batch.identity
        assert identity is not None  # `Episodes` and `RegionCrops` set it
        random = np.random.default_rng((self.seed, self.step))  # the same in every process
        from_e_hat = random.random() < optim.texture_dropout
        adversarial = self.losses.weight("adversarial") > 0 and progress >= optim.adversarial_start and not from_e_hat

        # Embedder and generator: eq. 2 to 6.
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * self._rate(progress)
        frame, e_hat = predict(self.shared_networks, batch, not from_e_hat)
        with self.accelerator.autocast():
            terms = self.losses.reconstruction_terms(frame, batch)
            if self.losses.weight("match") and e_hat is not None:
                terms["match"] = losses.match_loss(e_hat, self.critic.W(identity))
            fake, real, stickman = (
                self.losses.crop_patch(image, batch) for image in (frame, batch.target, batch.stickman)
            )
            if adversarial:
                # The critic without its distributed wrapper, because this step does not use the critic's gradients.
                terms |= losses.generator_adversarial_loss(
                    self.critic, fake, real, stickman, identity, self.losses.relativistic
                )
        self._descend(self.losses.total(terms, self.step), self.networks, self.optimizer)

        # Discriminator: eq. 9.
        for _ in range(optim.discriminator_steps if adversarial else 0):
            terms["discriminator"] = losses.discriminator_loss(
                self.shared_critic, fake, real, stickman, identity, self.losses.relativistic
            )
            if not torch.isfinite(terms["discriminator"]):
                raise FloatingPointError(f"step {self.step}: discriminator is not finite; lower optim.lr_discriminator")
            self._descend(terms["discriminator"], self.critic, self.critic_optimizer, self.table_optimizer)
        self.step += 1
        # The decay starts low, so that the average forgets the random initial weights.
        update_ema(self.ema, self.networks, min(optim.ema, (1 + self.step) / (10 + self.step)))
        means = self.accelerator.reduce(torch.stack([term.detach().float() for term in terms.values()]), "mean")
        return dict(zip(terms, means.tolist(), strict=True))

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
