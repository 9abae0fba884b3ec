"""The networks of MediaPipe's Face Landmarker, run by OpenVINO.

The file of the three networks ships in the package (Google, Apache-2.0, see NOTICE), so nothing is downloaded.
"""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks.openvino_runtime import ProcessorNetwork, openvino_core

MODEL = Path(__file__).parent.parent / "weights" / "face_landmarker.task"
_MAX_LOGIT = 80.0  # so that the exponential is finite in float32


@cache
def load(name: str) -> ProcessorNetwork:
    """Returns a network with a batch of one, which is read once in a process. A batch of two takes twice the time.

    Args:
        name: of the .tflite file in the model file, without the suffix.
    """
    with TemporaryDirectory() as folder:  # OpenVINO reads .tflite from a path
        try:
            with zipfile.ZipFile(MODEL) as networks:
                path = networks.extract(f"{name}.tflite", folder)
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            raise BadInput(f"{MODEL}: missing or damaged; install the package again") from error
        model = openvino_core().read_model(path)
    shape = model.input().partial_shape
    shape[0] = 1
    model.reshape(shape)
    return ProcessorNetwork(model)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits of any shape."""
    return 1 / (1 + np.exp(-np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT)))
