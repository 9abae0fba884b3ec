"""Segments person and hair in photographs and paintings, with MediaPipe's networks.

The selfie segmenter ships in the package (Google, Apache-2.0; see NOTICE), so nothing is downloaded.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from fewshot_heads.imaging.tflite import read_segmenter
from fewshot_heads.landmarks.mediapipe_runtime import at_exit, quiet_stderr, to_mediapipe

_lock = threading.Lock()
_HAIR_NETWORK_SIDE = 512  # pixels; a picture is enlarged by cubic interpolation, as the appearance model was fitted
MODEL = Path(__file__).parent.parent / "weights" / "selfie_segmentation.tflite"


def person_matte(image: np.ndarray, model: Path = MODEL) -> np.ndarray:
    """Returns the opacity of persons, with hair and clothes, float32 [H, W], 0 to 1.

    The network reads 256 x 256 pixels, 12 ms on one core for an image of this size. Where the network finds no
    boundary, as in paintings by Van Gogh, the whole image is person.

    Args:
        image: uint8 RGB [H, W, 3].
        model: a .tflite; the shipped selfie segmenter by default.
    """
    return np.nan_to_num(_confidence_masks(image, model)[0]).clip(0, 1)


def hair_matte(image: np.ndarray, model: Path) -> np.ndarray:
    """Returns the share of each pixel that is hair, float32 [H, W], 0 to 1.

    Args:
        image: uint8 RGB [H, W, 3].
        model: MediaPipe's hair_segmentation.tflite, which is not shipped.

    Raises:
        BadInput: the file is not a network of TensorFlow Lite.
    """
    large = cv2.resize(image, (_HAIR_NETWORK_SIDE, _HAIR_NETWORK_SIDE), interpolation=cv2.INTER_CUBIC)
    background, hair = _confidence_masks(large, model)  # logits
    return cv2.resize(1 / (1 + np.exp(background - hair)), image.shape[1::-1], interpolation=cv2.INTER_AREA)


def _confidence_masks(image: np.ndarray, model: Path) -> np.ndarray:
    """Returns every mask that a network gives for an image, float32 [N, H, W]."""
    with _lock:  # or the first threads would each load a segmenter
        segmenter = _segmenter(os.getpid(), model)
    result = segmenter.segment(to_mediapipe(image))  # has a name, because `numpy_view` does not keep its memory alive
    return np.stack([mask.numpy_view().reshape(image.shape[:2]) for mask in result.confidence_masks])


@cache  # never evicted: closing the parent's segmenter in a forked process would hang
def _segmenter(process: int, model: Path):
    """Returns one segmenter for each process: a forked process lacks the threads of its parent's segmenter."""
    data = read_segmenter(model)
    with quiet_stderr():
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.ImageSegmenterOptions(
            base_options=BaseOptions(model_asset_buffer=data), output_confidence_masks=True
        )
        segmenter = vision.ImageSegmenter.create_from_options(options)
        segmenter.segment(to_mediapipe(np.zeros((64, 64, 3), np.uint8)))  # the first call logs too
    at_exit(segmenter.close)
    return segmenter
