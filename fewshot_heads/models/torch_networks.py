"""Networks that torch runs: on a GPU, with weights that have no models of OpenVINO, or after fine-tuning."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewshot_heads.models.checkpoint import Checkpoint
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.models.network import Run
from fewshot_heads.models.parsing import Parser


class TorchRun:
    """Runs a function of tensors on arrays.

    Args:
        function: takes tensors on the device, returns a tuple of tensors.
        device: where it computes.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], device: torch.device):
        self._function, self._device = function, device

    @torch.inference_mode()
    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the outputs for contiguous inputs, float32."""
        outputs = self._function(*(torch.from_numpy(array).to(self._device) for array in inputs))
        return tuple(output.float().cpu().numpy() for output in outputs)


def torch_runs(checkpoint: Checkpoint) -> dict[str, Run]:
    """Returns what runs each network of a checkpoint, by its name: "embedder" and "generator", "inpainter" or "parser".

    Args:
        checkpoint: the networks, on the device where they run.
    """
    networks: Any = checkpoint.networks
    device = next(networks.parameters()).device
    if isinstance(networks, Inpainter):
        return {"inpainter": TorchRun(lambda *inputs: (networks.paint(*inputs),), device)}
    if isinstance(networks, Parser):
        return {"parser": TorchRun(lambda image: (networks(image),), device)}

    def embed(frames: Tensor, stickmen: Tensor) -> tuple[Tensor, Tensor]:
        e_hat = networks.embedder(frames, stickmen).mean(1)
        return e_hat, networks.generator.project(e_hat)

    return {"embedder": TorchRun(embed, device), "generator": _generator_run(networks.generator)}


def _generator_run(generator: Any) -> Run:
    """Returns what runs a `Generator` or `PaperGenerator`, with the inputs and outputs of `GeneratorNetwork`."""
    device = next(generator.parameters()).device
    if generator.textured:
        return TorchRun(generator.predict, device)
    return TorchRun(lambda *inputs: (generator(*inputs),), device)


def tuned_run(checkpoint: Checkpoint, tuned: Mapping[str, np.ndarray]) -> Run:
    """Returns what runs a generator with other weights.

    Args:
        checkpoint: of the generator, which keeps its weights, on the device where it runs.
        tuned: state dict of the generator.
    """
    generator = copy.deepcopy(checkpoint.networks.generator)
    generator.load_state_dict({name: torch.from_numpy(value) for name, value in tuned.items()})
    return _generator_run(generator)
