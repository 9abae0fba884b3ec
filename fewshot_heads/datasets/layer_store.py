"""Keeps the layers of source images, whose separation takes half a second."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from fewshot_heads.datasets.kept_png import kept_png
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.layers.separation import PortraitLayers, separate
from fewshot_heads.models.checkpoint import load_checkpoint

_MAX_IN_MEMORY = 6000  # 0.7 MB each


def separate_image(image: np.ndarray, landmarks: np.ndarray) -> PortraitLayers:
    """Returns the layers of an image.

    Args:
        image: uint8 [S, S, 3].
        landmarks: [70 or 221, 3], pixels.
    """
    return separate(np.asarray(image), Landmarks.from_array(np.asarray(landmarks)))


class LayerStore:
    """Layers of images, each separated once, in the memory of a process or as PNG files.

    A file has head, body and background side by side. Its name is the hash of the image, its landmarks, the parsing
    weights and the code, so runs and processes may share a folder, and a change of any of them makes new layers.

    Args:
        folder: where the files are. None keeps the layers in memory.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._memory: dict[str, PortraitLayers] = {}

    def __call__(self, image: np.ndarray, landmarks: np.ndarray) -> PortraitLayers:
        """Returns the layers of an image, see `separate_image`."""
        image, landmarks = np.ascontiguousarray(image), np.ascontiguousarray(landmarks)
        key = hashlib.sha256(_recipe() + image.tobytes() + landmarks.tobytes()).hexdigest()[:32]
        if self.folder is not None:
            return self._from_file(self.folder / f"{key}.png", image, landmarks)
        if key not in self._memory:
            if len(self._memory) >= _MAX_IN_MEMORY:
                self._memory.pop(next(iter(self._memory)))
            self._memory[key] = separate_image(image, landmarks)
        return self._memory[key]

    def _from_file(self, path: Path, image: np.ndarray, landmarks: np.ndarray) -> PortraitLayers:
        """Returns the layers in a file, which is written if it is missing or damaged."""

        def side_by_side() -> np.ndarray:
            head, body, background = separate_image(image, landmarks)
            return np.hstack([head, body, np.dstack([background, np.full_like(background[..., :1], 255)])])

        head, body, background = np.split(kept_png(path, side_by_side), 3, axis=1)
        return PortraitLayers(head, body, np.ascontiguousarray(background[..., :3]))


@cache
def _recipe() -> bytes:
    """Returns what the layers depend on besides the image: the hashes of the weights and of the code."""
    folders = [Path(__file__).parent.parent / name for name in ("imaging", "landmarks", "layers", "models")]
    sources = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in (".py", ".json")]
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    return load_checkpoint("parsing").sha256.encode() + code.digest()
