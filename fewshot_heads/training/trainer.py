"""One step of meta-learning (Zakharov et al., ICCV 2019, sec. 3.2).

The same code trains every preset and the inpainters. The loop is in `training.loop`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from fewshot_heads.datasets.batches import TrainingBatch, to_device
from fewshot_heads.models.building import Networks, build, build_discriminator
from fewshot_heads.models.discriminator import ProjectionDiscriminator
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.training import losses
from fewshot_heads.training.forward import predict
from fewshot_heads.training.run_state import Optim, RunState, update_ema
from fewshot_heads.training.weighted_losses import LossConfig, WeightedLosses

_PEOPLE_STD = 0.3  # standard deviation of the first values of `Inpainter.people`


class Training(RunState):
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
        if isinstance(networks, Inpainter):
            networks.people = nn.Embedding(identities, spec["embedding"])
            nn.init.normal_(networks.people.weight, std=_PEOPLE_STD)
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
        adversarial = self.losses.weight("adversarial") > 0 and progress >= optim.adversarial_start

        # Embedder and generator: eq. 2 to 6.
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * self._rate(progress)
        frame, e_hat = predict(self.shared_networks, batch)
        with self.accelerator.autocast():
            terms = self.losses.reconstruction_terms(frame, batch)
            if self.losses.weight("match") and e_hat is not None:
                terms["match"] = losses.match_loss(e_hat, self.critic.W(identity))
            if self.losses.weight("people") and (people := getattr(self.networks, "people", None)) is not None:
                terms["people"] = people(identity).square().sum(1).mean()
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
