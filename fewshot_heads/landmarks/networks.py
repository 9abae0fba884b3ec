"""The networks of MediaPipe's Face Landmarker, run by OpenVINO.

The file of the three networks ships in the package (Google, Apache-2.0, see NOTICE), so nothing is downloaded.
"""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fewshot_heads.landmarks.openvino_runtime import load_openvino

MODEL = Path(__file__).parent.parent / "weights" / "face_landmarker.task"
# Without streams the calling thread computes, alone. A forked process would lack the threads of a stream.
_OPTIONS = {"NUM_STREAMS": 0, "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
_MAX_LOGIT = 80.0  # so that the exponential is finite in float32


class Network:
    """A network of the model file. Threads that call it at the same time have copies of it.

    Args:
        name: of the .tflite file in the model file, without the suffix.
    """

    def __init__(self, name: str) -> None:
        self._core = load_openvino().Core()
        with zipfile.ZipFile(MODEL) as networks, TemporaryDirectory() as folder:  # OpenVINO reads .tflite from a path
            model = self._core.read_model(networks.extract(f"{name}.tflite", folder))
        shape = model.input().partial_shape
        shape[0] = 1  # a batch of two takes twice the time
        model.reshape(shape)
        self._original = self._core.compile_model(model, "CPU", _OPTIONS)
        self._idle = [self._original.create_infer_request()]

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the outputs in the order of the file.

        Args:
            data: float32, the input with a batch of one.
        """
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._copy()
        try:
            return request.infer([data], share_inputs=True).to_tuple()
        finally:
            self._idle.append(request)

    def _copy(self) -> Any:
        """Returns a request of another instance. Importing takes a quarter of the time of compiling."""
        return self._core.import_model(self._original.export_model(), "CPU", _OPTIONS).create_infer_request()


@cache
def load(name: str) -> Network:
    """Returns the network of a name, which is read once in a process."""
    return Network(name)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits of any shape."""
    return 1 / (1 + np.exp(-np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT)))
