"""Opens weights in the backend that runs them: OpenVINO, which needs no torch, or torch."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fewshot_heads.errors import TORCH_MISSING, BadInput, WeightsMismatch, check_choice
from fewshot_heads.models.network import GeneratorNetwork, Network, Run
from fewshot_heads.models.openvino_models import SPECIFICATION, has_models, load_models
from fewshot_heads.models.weights_file import WeightsFile, read_weights

if TYPE_CHECKING:
    from fewshot_heads.models.checkpoint import Checkpoint

BACKENDS = ("auto", "torch", "openvino")
_GENERATORS = ("realtime", "paper")
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, and both on Windows' Linux


def open_generator(
    weights: WeightsFile, device: str = "auto", backend: str = "auto"
) -> tuple[Network, GeneratorNetwork]:
    """Returns the embedder and the generator of weights.

    Args:
        weights: a `Checkpoint`, or weights that are yet to be loaded.
        device: "auto", "cpu" or another name of torch. "auto" takes a GPU if torch has one.
        backend: "torch" or "openvino". "auto" takes OpenVINO on the processor, if the weights have models of it.

    Raises:
        BadInput: the backend or the device is not there.
        WeightsMismatch: the weights are not those of a generator.
    """
    spec = weights.about["spec"]
    architecture = spec.get("architecture", "realtime")
    if architecture not in _GENERATORS:
        raise WeightsMismatch(f"{weights.path}: not weights of a generator; take those of the realtime preset")
    runs = _runs(weights, ("embedder", "generator"), device, backend)
    embedder = Network(spec["size"], runs["embedder"])
    tuned = partial(_tuned, weights, device)
    return embedder, GeneratorNetwork(spec["size"], runs["generator"], architecture == "realtime", tuned)


def open_inpainters(
    names_or_paths: Sequence[str | Path] = ("mouth", "eyes", "lids"), device: str = "auto", backend: str = "auto"
) -> dict[str, Network]:
    """Returns inpainters by their face region, a key of `landmarks.regions.REGIONS`.

    Args:
        names_or_paths: weights, each as in `read_weights`.
        device: as in `open_generator`.
        backend: "torch" or "openvino". Weights without models of OpenVINO run in torch.

    Raises:
        BadInput: as `read_weights`, or the device is not there.
        WeightsMismatch: the weights are of other networks.
    """
    inpainters = {}
    for name in names_or_paths:
        weights = read_weights(name)[0]
        spec = weights.about["spec"]
        if spec.get("architecture") != "inpainter" or "part" not in spec:
            raise WeightsMismatch(
                f"{weights.path}: paints no part of a face; take weights trained with experiment=mouth, eyes or lids"
            )
        chosen = backend if has_models(weights.path) else "auto"
        inpainters[spec["part"]] = Network(spec["size"], _runs(weights, ("inpainter",), device, chosen)["inpainter"])
    return inpainters


def open_parser(name_or_path: str | Path = "parsing") -> Network:
    """Returns the network that parses portraits, on the processor.

    Args:
        name_or_path: weights, as in `read_weights`.

    Raises:
        BadInput: as `read_weights`.
        WeightsMismatch: the weights are of another network.
    """
    weights = read_weights(name_or_path)[0]
    spec = weights.about["spec"]
    if spec.get("architecture") != "parsing":
        raise WeightsMismatch(f"{weights.path}: parses no portraits; take weights trained with experiment=parsing")
    return Network(spec["size"], _runs(weights, ("parser",), "cpu", "auto")["parser"])


def loaded(weights: WeightsFile, device: str = "auto") -> Checkpoint:
    """Returns the networks of weights in torch, on a device.

    Args:
        weights: a `Checkpoint`, which is returned, or weights that are yet to be loaded.
        device: as in `open_generator`.

    Raises:
        BadInput: torch is not installed, or the device is not there.
        WeightsMismatch: the weights do not fit their specification.
    """
    checkpoints = _torch_module("checkpoint")
    is_loaded = isinstance(weights, checkpoints.Checkpoint)
    checkpoint: Checkpoint = weights if is_loaded else checkpoints.load_checkpoint(weights.path)  # type: ignore[assignment]
    checkpoint.networks.to(checkpoints.pick_device(device))
    return checkpoint


def _runs(weights: WeightsFile, networks: Sequence[str], device: str, backend: str) -> dict[str, Run]:
    """Returns what runs each of the networks of weights."""
    check_choice("backend", backend, BACKENDS)
    if backend == "auto":
        on_processor = device == "cpu" or (device == "auto" and not _has_gpu())
        backend = "openvino" if on_processor and has_models(weights.path) else "torch"
        if on_processor and backend == "torch" and find_spec("torch") is None:
            missing = weights.path.with_suffix(SPECIFICATION)
            raise BadInput(f"{missing}: not there; fetch it again, or run these weights in torch: {TORCH_MISSING}")
    if backend == "torch":
        runs: dict[str, Run] = _torch_module("torch_networks").torch_runs(loaded(weights, device))
        return runs
    if device not in ("auto", "cpu"):
        raise BadInput(f"backend=openvino: runs on the processor, not on {device}; use device=cpu, or backend=torch")
    if not has_models(weights.path):
        remedy = "make them with python -m benchmarks.quantize, or use backend=torch"
        raise BadInput(f"backend=openvino: {weights.path} has no models of OpenVINO; {remedy}")
    return {**load_models(weights, networks)}


def _tuned(weights: WeightsFile, device: str, tuned: Mapping[str, np.ndarray]) -> Run:
    """Returns what runs the generator of weights after fine-tuning, in torch."""
    run: Run = _torch_module("torch_networks").tuned_run(loaded(weights, device), tuned)
    return run


def _torch_module(name: str) -> Any:
    """Returns a module of this room that imports torch. Raises BadInput if torch is not installed."""
    if find_spec("torch") is None:
        raise BadInput(TORCH_MISSING)
    return importlib.import_module(f"fewshot_heads.models.{name}")


@cache
def _has_gpu() -> bool:
    """Returns whether torch has a GPU. It is asked only if it may have one: importing it takes a second."""
    if find_spec("torch") is None or not (sys.platform != "linux" or any(map(os.path.exists, _GPU_DRIVERS))):
        return False
    return bool(_torch_module("checkpoint").pick_device("auto").type != "cpu")
