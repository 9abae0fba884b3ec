"""Meta-learning, one step of it (Zakharov et al., ICCV 2019, sec. 3.2); the loop around it is in `runs`.

The same code trains every preset; a preset without a texture branch just has no texture to look at.
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

from fewshot_heads.models import Networks, build, build_discriminator
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.training import losses
from fewshot_heads.training.losses import LossConfig, WeightedLosses

Episode = Mapping[str, Tensor]


@dataclass(frozen=True)
class Optim:
    """How weights move (conf/optim).

    lr, lr_discriminator: Adam's; schedule: "constant", or "cosine", which falls to a twentieth; warmup: steps.
    betas, betas_discriminator, eps: Adam's. clip: largest norm of the gradient, 0 is off. ema: decay of the average.
    discriminator_steps: for each step of the generator; adversarial_from: share of the run before the discriminator
    joins. texture_dropout: share of the steps that paint from e_hat alone. sparse_identities: see
    `ProjectionDiscriminator`.
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
def update_ema(kept: nn.Module, current: nn.Module, decay: float) -> None:
    """One step of the exponential moving average `kept`. Buffers (spectral norm's) are copied."""
    for mean, weight in zip(kept.parameters(), current.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
    for copied, buffer in zip(kept.buffers(), current.buffers(), strict=True):
        copied.copy_(buffer)


class Training:
    """All that changes while training; its `state_dict` is a complete resume point.

    accelerator: of HF Accelerate: device, precision, processes. Raises BadInput as `WeightedLosses` does.
    """

    def __init__(
        self, spec: dict[str, Any], identities: int, steps: int, table: LossConfig, optim: Optim, accelerator: Any,
        patch: int | None = None, seed: int = 0, start: Networks | None = None,
    ):  # fmt: skip
        torch.manual_seed(seed)
        self.steps, self.optim, self.seed, self.accelerator = steps, optim, seed, accelerator
        self.criteria = WeightedLosses(table, patch).to(accelerator.device)
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
        """The parts that are called as they are, by torch.compile."""
        for part in (*self.networks.children(), self.critic.discriminator):
            part.compile()

    def state_dict(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self._parts()}
        return {**parts, "step": self.step, "rng": torch.get_rng_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, part in self._parts():
            asked = [{key: group[key] for key in ("lr", "betas", "eps")} for group in getattr(part, "param_groups", ())]
            part.load_state_dict(state[name])
            for group, today in zip(getattr(part, "param_groups", ()), asked, strict=True):
                group.update(today)  # not what the state was saved under
        self.step = state["step"]
        torch.set_rng_state(state["rng"].cpu())

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """All that is saved, by its key in state.pt."""
        yield from {"networks": self.networks, "ema": self.ema, "critic": self.critic}.items()
        yield from {"optimiser": self.optimizer, "critic_optimiser": self.critic_optimizer}.items()
        if self.table_optimizer is not None:
            yield "table_optimiser", self.table_optimizer

    def update(self, episode: Episode) -> dict[str, float]:
        """One generator step, then the discriminator's. Returns the terms, before their weights."""
        optim, progress = self.optim, self.step / self.steps
        episode = {key: value.to(self.accelerator.device) for key, value in episode.items()}
        random = np.random.default_rng((self.seed, self.step))  # the same in every process
        dropped = random.random() < optim.texture_dropout
        adversarial = self.criteria.weight("adversarial") > 0 and progress >= optim.adversarial_start and not dropped

        # Embedder and generator: eq. 2 to 6.
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * self._rate(progress)
        frame, e_hat = self.shared_networks(episode, not dropped)
        with self.accelerator.autocast():
            terms = self.criteria.reconstruction_terms(frame, episode)
            if self.criteria.weight("match"):
                terms["match"] = losses.match_loss(e_hat, self.critic.W(episode["identity"]))
            seen, real, stickman = (
                self.criteria.crop_patch(x, episode) for x in (frame, episode["driver"], episode["stickman"])
            )
            if adversarial:
                # The critic outside its wrapper: its gradients are none of this step's business.
                terms |= losses.generator_adversarial_loss(
                    self.critic, seen, real, stickman, episode["identity"], self.criteria.relativistic
                )
        self._descend(self.criteria.total(terms, self.step), self.networks, self.optimizer)

        # Discriminator: eq. 9.
        for _ in range(optim.discriminator_steps if adversarial else 0):
            terms["discriminator"] = losses.discriminator_loss(
                self.shared_critic, seen, real, stickman, episode["identity"], self.criteria.relativistic
            )
            if not torch.isfinite(terms["discriminator"]):
                raise FloatingPointError(f"step {self.step}: discriminator is not finite; lower optim.lr_discriminator")
            self._descend(terms["discriminator"], self.critic, self.critic_optimizer, self.table_optimizer)
        self.step += 1
        # Young averages forget their random beginning sooner.
        update_ema(self.ema, self.networks, min(optim.ema, (1 + self.step) / (10 + self.step)))
        means = self.accelerator.reduce(torch.stack([term.detach().float() for term in terms.values()]), "mean")
        return dict(zip(terms, means.tolist(), strict=True))

    def _descend(self, loss: Tensor, module: nn.Module, *optimizers: torch.optim.Optimizer | None) -> None:
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
        warm = min(1.0, (self.step + 1) / (self.optim.warmup + 1))
        cosine = 0.05 + 0.95 * (1 + math.cos(math.pi * progress)) / 2
        return warm * (cosine if self.optim.schedule == "cosine" else 1.0)
