"""OpenVINO without its telemetry, and networks that it runs on the processor."""

from __future__ import annotations

import sys
from functools import cache
from threading import RLock
from types import ModuleType
from typing import Any

import numpy as np

# Without streams the calling thread computes, alone. A forked process would lack the threads of a stream. With 32-bit
# numbers, not bfloat16, the result is the same on every processor.
_OPTIONS = {"NUM_STREAMS": 0, "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
_loading = RLock()  # networks may be opened by several threads


def load_openvino() -> ModuleType:
    """Returns the package openvino. Every import of it goes through this function.

    On its import, openvino reports to Google Analytics by its dependency openvino_telemetry, from a forked process, and
    leaves an identifier in the home folder. If that dependency cannot be imported, openvino does without.
    """
    name = "openvino_telemetry"
    with _loading:
        if "openvino" not in sys.modules and name not in sys.modules:
            sys.modules[name] = None  # type: ignore[assignment]  # imports of it fail
            try:
                import openvino
            finally:
                del sys.modules[name]
        import openvino

    return openvino


def openvino_core() -> Any:
    """Returns the only `openvino.Core` of the process, which lives as long.

    Never `openvino.Core()` nor `openvino.compile_model`, which makes one: each core gives the calling thread a signal
    stack of its own, and brings back the one before when it goes. If the one before has gone already, its memory too,
    the next signal ends the process.
    """
    with _loading:
        return _core()


@cache
def _core() -> Any:
    return load_openvino().Core()


class ProcessorNetwork:
    """A network that the calling thread computes. Threads that call it at the same time have copies of it.

    Args:
        model: `openvino.Model`.
    """

    def __init__(self, model: Any) -> None:
        self._tensor = load_openvino().Tensor
        self._original = openvino_core().compile_model(model, "CPU", _OPTIONS)
        self._idle = [self._original.create_infer_request()]

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the outputs for contiguous inputs, both in the order of the model."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._copy()
        try:
            # `request.infer(inputs)` would also copy the inputs, and look at each in Python.
            tensors = [self._tensor(array, shared_memory=True) for array in inputs]
            for index, tensor in enumerate(tensors):
                request.set_input_tensor(index, tensor)
            request.infer(share_outputs=True)
            return tuple(tensor.data.copy() for tensor in request.output_tensors)
        finally:
            self._idle.append(request)

    def _copy(self) -> Any:
        """Returns a request of another instance. Importing takes a quarter of the time of compiling."""
        return openvino_core().import_model(self._original.export_model(), "CPU", _OPTIONS).create_infer_request()
