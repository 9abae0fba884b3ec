"""Segments persons in photographs and paintings, with MediaPipe's selfie segmenter.

The network ships in the package (Google, Apache-2.0; see NOTICE), so nothing is downloaded.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path

import numpy as np

from fewshot_heads.landmarks.mediapipe_runtime import at_exit, quiet_stderr, to_mediapipe

_lock = threading.Lock()
MODEL = Path(__file__).parent.parent / "weights" / "selfie_segmentation.tflite"


def person_matte(image: np.ndarray) -> np.ndarray:
    """Returns the opacity of persons, with hair and clothes, float32 [H, W], 0 to 1.

    The network reads 256 x 256 pixels, 12 ms on one core for an image of this size. Where the network finds no
    boundary, as in paintings by Van Gogh, the whole image is person.

    Args:
        image: uint8 RGB [H, W, 3].
    """
    with _lock:  # or the first threads would each load a segmenter
        segmenter = _segmenter(os.getpid())
    result = segmenter.segment(to_mediapipe(image))  # has a name, because `numpy_view` does not keep its memory alive
    matte = result.confidence_masks[0].numpy_view().reshape(image.shape[:2])
    return np.nan_to_num(matte).clip(0, 1)


@cache  # never evicted: closing the parent's segmenter in a forked process would hang
def _segmenter(process: int):
    """Returns one segmenter for each process: a forked process lacks the threads of its parent's segmenter."""
    with quiet_stderr():
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.ImageSegmenterOptions(
            base_options=BaseOptions(model_asset_buffer=MODEL.read_bytes()), output_confidence_masks=True
        )
        segmenter = vision.ImageSegmenter.create_from_options(options)
        segmenter.segment(to_mediapipe(np.zeros((64, 64, 3), np.uint8)))  # the first call logs too
    at_exit(segmenter.close)
    return segmenter
