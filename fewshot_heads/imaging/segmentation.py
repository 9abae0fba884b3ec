"""Which of a picture is person and which is background: MediaPipe's selfie segmenter, for photographs and paintings.

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


def person_matte(picture: np.ndarray) -> np.ndarray:
    """How much of each place of a picture uint8 [H, W, 3] is a person, with hair and clothes: float32 [H, W], 0 to 1.

    The network sees 256 x 256: 12 ms on one core for a picture of that size. Where it cannot tell, as in Van Gogh's,
    all is person.
    """
    with _lock:  # or threads that come first together would each make one
        segmenter = _segmenter(os.getpid())
    seen = segmenter.segment(to_mediapipe(picture))  # named, for `numpy_view` does not keep its memory
    mask = seen.confidence_masks[0].numpy_view().reshape(picture.shape[:2])
    return np.nan_to_num(mask).clip(0, 1)


@cache  # never given up: closing the parent's would hang too
def _segmenter(process: int):
    """One for each process: a forked one, such as a data loader's worker, has not the threads of its parent's."""
    with quiet_stderr():
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.ImageSegmenterOptions(
            base_options=BaseOptions(model_asset_buffer=MODEL.read_bytes()), output_confidence_masks=True
        )
        segmenter = vision.ImageSegmenter.create_from_options(options)
        segmenter.segment(to_mediapipe(np.zeros((64, 64, 3), np.uint8)))  # the first call logs too
    at_exit(segmenter.close)
    return segmenter
