"""MediaPipe's segmenters of persons and of hair, which label footage for the parsing network.

Both are .tflite files of Google (Apache-2.0) that the user names. They run with LiteRT, in training only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.media.files import check_readable

_HAIR_PASSES = 2  # the hair network reads its previous mask; the second pass is the better one


class Segmenter:
    """A MediaPipe segmenter: selfie_segmentation.tflite or hair_segmentation.tflite.

    Args:
        path: the .tflite file.

    Raises:
        BadInput: ai-edge-litert is not installed, or the file is no such network.
    """

    def __init__(self, path: str | Path):
        check_readable(Path(path))
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise BadInput(f"{path}: segmenters need LiteRT; pip install 'fewshot_heads[creative]'") from error
        try:
            self._network = Interpreter(str(path), num_threads=1)
            self._network.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise BadInput(f"{path}: no readable .tflite network; name one of MediaPipe's segmenters") from error
        self._input: Any = self._network.get_input_details()[0]
        self._output: Any = self._network.get_output_details()[0]
        channels = (int(self._input["shape"][-1]), int(self._output["shape"][-1]))
        if channels not in ((3, 1), (4, 2)):
            raise BadInput(f"{path}: {channels[0]} channels in, {channels[1]} out; expected a selfie or hair segmenter")
        self._reads_mask = channels[0] == 4

    def matte(self, image: np.ndarray) -> np.ndarray:
        """Returns the opacity, float32 [H, W], 0 to 1, averaged with that of the mirrored image.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        mirrored = self._run(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
        return (self._run(image) + mirrored) / 2

    def _run(self, image: np.ndarray) -> np.ndarray:
        height, width = (int(side) for side in self._input["shape"][1:3])
        shrinks = image.shape[0] * image.shape[1] > height * width
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = cv2.resize(image, (width, height), interpolation=interpolation).astype(np.float32) / 255
        mask: np.ndarray = np.zeros((height, width), np.float32)
        for _ in range(_HAIR_PASSES if self._reads_mask else 1):
            data = np.dstack([pixels, mask]) if self._reads_mask else pixels
            self._network.set_tensor(self._input["index"], data[None])
            self._network.invoke()
            result = self._network.get_tensor(self._output["index"])[0]
            mask = 1 / (1 + np.exp(result[..., 0] - result[..., 1])) if self._reads_mask else result[..., 0]
        mask = np.nan_to_num(mask).clip(0, 1)
        return cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
