"""Trains the parsing network on labelled heads."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_heads.datasets.batches import ParsingBatch, to_device
from fewshot_heads.models.building import build
from fewshot_heads.models.parsing import mattes
from fewshot_heads.training.run_state import Optim, RunState, update_ema
from fewshot_heads.training.weighted_losses import LossConfig

_LEAST_PERSON = 0.02  # opacity up to which a pixel is neither head nor body


class ParsingLosses:
    """The weighted sum of the losses of conf/criterion/parsing.yaml.

    Args:
        table: name of the loss to its entry, which has a `weight`.
    """

    def __init__(self, table: LossConfig):
        self.table = table

    def reconstruction_terms(self, logits: Tensor, batch: ParsingBatch) -> dict[str, Tensor]:
        """Returns the losses before weighting.

        Args:
            logits: [B, 2, S, S], of the network.
            batch: the labels.
        """
        logits = logits.float()
        person, head = batch.mattes.split(1, 1)
        share = (head / person.clamp_min(_LEAST_PERSON)).clamp(0, 1)
        by_pixel = F.binary_cross_entropy_with_logits(logits[:, 1:], share, reduction="none")
        found = mattes(logits)
        steps = [x.diff(dim=axis) for axis in (2, 3) for x in (found, batch.mattes)]
        return {
            "person": F.binary_cross_entropy_with_logits(logits[:, :1], person),
            "head": (by_pixel * person).sum() / person.sum().clamp_min(1),
            "l1": F.l1_loss(found, batch.mattes),
            "gradient": F.l1_loss(steps[0], steps[1]) + F.l1_loss(steps[2], steps[3]),
        }

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Returns the weighted sum of losses.

        Args:
            terms: losses before weighting, by name.
        """
        return torch.stack([float(self.table[name]["weight"]) * term for name, term in terms.items()]).sum()


class ParsingTraining(RunState):
    """The training of a parsing network.

    Args:
        spec: specification of the network, see `models.build`.
        steps: total number of steps.
        table: losses and their weights, see `ParsingLosses`.
        optim: settings of the optimizer.
        accelerator: Hugging Face's `Accelerator`, with device, precision and processes.
        seed: of all random numbers.
        start: a network whose weights are the initial ones; None for random weights.
    """

    def __init__(
        self, spec: dict[str, Any], steps: int, table: LossConfig, optim: Optim, accelerator: Any, seed: int = 0,
        start: nn.Module | None = None,
    ):  # fmt: skip
        torch.manual_seed(seed)
        self.steps, self.optim, self.accelerator, self.step = steps, optim, accelerator, 0
        self.losses = ParsingLosses(table)
        self.network: nn.Module = build(spec)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False).to(accelerator.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), optim.lr, optim.betas, optim.eps)
        self.shared_network = accelerator.prepare(self.network)

    def update(self, batch: ParsingBatch) -> dict[str, float]:
        """Takes one step; returns the losses before weighting.

        Args:
            batch: samples of this process.

        Raises:
            FloatingPointError: a gradient is not finite.
        """
        batch = to_device(batch, self.accelerator.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self.optim.lr * self._rate(self.step / self.steps)
        with self.accelerator.autocast():
            logits = self.shared_network(batch.image)
        terms = self.losses.reconstruction_terms(logits, batch)
        self._descend(self.losses.total(terms), self.network, self.optimizer)
        self.step += 1
        update_ema(self.ema, self.network, min(self.optim.ema, (1 + self.step) / (10 + self.step)))
        means = self.accelerator.reduce(torch.stack([term.detach() for term in terms.values()]), "mean")
        return dict(zip(terms, means.tolist(), strict=True))

    def compile(self) -> None:
        """Compiles the network with torch.compile."""
        self.network.compile()

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """Yields everything that has a state dict, with its key in state.pt."""
        yield from {"networks": self.network, "ema": self.ema, "optimiser": self.optimizer}.items()
