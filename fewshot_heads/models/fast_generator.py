"""The generator with 8-bit numbers in OpenVINO, which is faster on a processor than 32-bit numbers in torch.

`python -m benchmarks.quantize` writes three files beside weights: `.int8.xml` and `.int8.bin`, a model of OpenVINO, and
`.int8.json` with their hashes.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

import torch
from torch import Tensor

from fewshot_heads.errors import BadInput, WeightsMismatch, check_choice
from fewshot_heads.landmarks.openvino_runtime import ProcessorNetwork, openvino_core
from fewshot_heads.media.files import check_readable
from fewshot_heads.models.checkpoint import Checkpoint
from fewshot_heads.models.compositing import Correction, WarpInputs
from fewshot_heads.models.generator import Generator

BACKENDS = ("auto", "torch", "openvino")
SPECIFICATION, *MODEL = ".int8.json", ".int8.xml", ".int8.bin"  # suffixes of the files beside weights
INPUTS = ("images", "hint", "style")  # of the model, in its order; see `Generator.predict`
_VNNI = ("avx512_vnni", "avx_vnni")  # instructions that multiply 8-bit numbers


class FastGenerator:
    """A generator whose `predict` OpenVINO computes; `rendering.renderer` takes it like a `Generator`.

    Args:
        original: the generator.
        network: its `predict`.
    """

    textured = True

    def __init__(self, original: Generator, network: ProcessorNetwork):
        self.original, self._network = original, network

    def correct(self, stickman: Tensor, style: Tensor, texture: WarpInputs) -> Correction:
        """Returns the correction of the composite, as `Generator.correct`."""
        return self.original.correct(stickman, style, texture, self._predict)

    def _predict(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        arrays = [tensor.contiguous().numpy() for tensor in inputs]
        residual, flows = self._network(*arrays)
        return torch.from_numpy(residual), torch.from_numpy(flows)


def choose_generator(checkpoint: Checkpoint, device: torch.device, backend: str = "auto") -> Any:
    """Returns what renders: the generator of a checkpoint, or its `FastGenerator`.

    Args:
        checkpoint: the networks.
        device: device of the networks.
        backend: "torch" or "openvino". "auto" takes OpenVINO if the weights have an 8-bit model and the processor has
            instructions for 8-bit numbers.

    Raises:
        BadInput: OpenVINO was asked for and cannot be taken.
        WeightsMismatch: the 8-bit model is not that of the weights.
    """
    check_choice("backend", backend, BACKENDS)
    generator = checkpoint.networks.generator
    obstacle = _obstacle(checkpoint, device)
    if backend == "torch" or (backend == "auto" and (obstacle or not _has_vnni())):
        return generator
    if obstacle:
        raise BadInput(f"backend=openvino: {obstacle}, or use backend=torch")
    return FastGenerator(generator, _load(*_read(checkpoint)))


@cache
def _load(xml: bytes, weights: bytes) -> ProcessorNetwork:
    """Returns the 8-bit model, which is compiled once in a process."""
    return ProcessorNetwork(openvino_core().read_model(xml, weights))


def _obstacle(checkpoint: Checkpoint, device: torch.device) -> str:
    """Returns why OpenVINO cannot be taken, with a remedy; "" if nothing is in the way."""
    if device.type != "cpu":
        return f"runs on the processor, not on {device.type}; use device=cpu"
    if not checkpoint.path.with_suffix(SPECIFICATION).is_file():
        return f"{checkpoint.path} has no 8-bit model; make one with python -m benchmarks.quantize"
    return ""


def _has_vnni() -> bool:
    """Returns whether the processor has instructions for 8-bit numbers; False if torch is too old to say."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in _VNNI)


def _read(checkpoint: Checkpoint) -> tuple[bytes, bytes]:
    """Returns the .xml and the .bin of the 8-bit model, whose hashes are checked.

    Raises:
        BadInput: a file cannot be read.
        WeightsMismatch: a hash is another one.
    """
    paths = [checkpoint.path.with_suffix(suffix) for suffix in (SPECIFICATION, *MODEL)]
    for path in paths:
        check_readable(path)
    specification, *contents = (path.read_bytes() for path in paths)
    found = [checkpoint.sha256, *(hashlib.sha256(content).hexdigest() for content in contents)]
    try:
        about = json.loads(specification)
        expected = [about["weights_sha256"], about["xml_sha256"], about["bin_sha256"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        expected = []
    if found != expected:
        raise WeightsMismatch(f"{paths[0]}: not the hashes of the files beside it; fetch them again")
    return contents[0], contents[1]
