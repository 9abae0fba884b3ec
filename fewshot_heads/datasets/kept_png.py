"""Arrays that take long to make and are kept as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fewshot_heads.media.files import atomic_write


def kept_png(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Returns the pixels of a PNG file, which is written if it is missing or damaged.

    Processes may share the file. The channels keep their order.

    Args:
        path: the file.
        make: returns the pixels, uint8 [H, W, 3 or 4].
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.exists() else None
    if pixels is None:
        pixels = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, (".png",), overwrite=True) as part:
            part.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return pixels
