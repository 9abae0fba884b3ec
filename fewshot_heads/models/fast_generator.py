"""The generator with 8-bit numbers in OpenVINO, which is faster on a processor than 32-bit numbers in torch.

`python -m benchmarks.quantize` writes three files beside weights: `.int8.xml` and `.int8.bin`, a model of OpenVINO, and
`.int8.json` with their hashes.
"""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

import torch
from torch import Tensor

from fewshot_heads.errors import BadInput, WeightsMismatch, check_choice
from fewshot_heads.landmarks.openvino_runtime import load_openvino
from fewshot_heads.media.files import check_readable
from fewshot_heads.models.checkpoint import Checkpoint
from fewshot_heads.models.compositing import Correction, WarpInputs
from fewshot_heads.models.generator import Generator

BACKENDS = ("auto", "torch", "openvino")
SPECIFICATION, *MODEL = ".int8.json", ".int8.xml", ".int8.bin"  # suffixes of the files beside weights
INPUTS = ("images", "hint", "style")  # of the model; see `Generator.predict`
MAX_STREAMS = 4  # batches computed at a time
_VNNI = ("avx512_vnni", "avx_vnni")  # instructions that multiply 8-bit numbers


class FastGenerator:
    """A generator whose `predict` OpenVINO computes; `rendering.renderer` takes it like a `Generator`.

    Args:
        original: the generator.
        model: `openvino.CompiledModel` of its `predict`.
    """

    textured = True

    def __init__(self, original: Generator, model: Any):
        self.original, self._model, self._local = original, model, threading.local()

    def correct(self, stickman: Tensor, style: Tensor, texture: WarpInputs) -> Correction:
        """Returns the correction of the composite, as `Generator.correct`."""
        return self.original.correct(stickman, style, texture, self._predict)

    def _predict(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        if not hasattr(self._local, "request"):  # a request serves one thread at a time
            self._local.request = self._model.create_infer_request()
        arrays = [tensor.contiguous().numpy() for tensor in inputs]
        results = self._local.request.infer(dict(zip(INPUTS, arrays, strict=True)), share_inputs=True)
        return torch.from_numpy(results[0]), torch.from_numpy(results[1])


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
    core, threads = load_openvino().Core(), torch.get_num_threads()
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": min(threads, MAX_STREAMS),
        "INFERENCE_PRECISION_HINT": "f32",  # not bfloat16, so that a frame is the same on every processor
        "ENABLE_CPU_PINNING": False,  # pinned threads wait for a busy core while another one is idle
    }
    return FastGenerator(generator, core.compile_model(core.read_model(*_read(checkpoint)), "CPU", options))


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
