"""Networks that only measure: they embed faces or whole pictures for the metrics and never see a gradient.

Each comes from a named file or a package of the extra `benchmark`. Pictures: RGB [N,H,W,3], uint8 or float in [0,1].
"""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Protocol

import numpy as np

from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.features.loading import INSTALL_HINT, import_optional, to_bytes
from fewshot_heads.features.mobilefacenet import MobileFaceNet

DLIB_WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"


class Embedder(Protocol):
    """What `metrics.Identity` needs of a network."""

    name: str

    def embed(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Images float [N,H,W,3] in [0,1], landmarks [N,68 or 70,2] finite pixels -> float64 [N,128]; N >= 1."""
        ...


def embedder(which: str | Path) -> Embedder:
    """`dlib`, or the file of MobileFaceNet's state dict."""
    return DlibResNet() if str(which) == "dlib" else MobileFaceNet(which)


class DlibResNet:
    """dlib's 128-d face embedding (King 2017, a ResNet of 29 convolutions).

    Its vectors share a large common part, so two people's cosine is high too: about 0.85, one person's 0.99.
    The weights are those of PyPI `face-recognition-models`.
    """

    name = "dlib ResNet"

    def __init__(self) -> None:
        self._dlib = import_optional("dlib", self.name)
        # Found, not imported: the package's __init__ needs pkg_resources, which setuptools no longer has.
        found = util.find_spec("face_recognition_models")
        if found is None or not found.origin:
            raise BadInput(f"{self.name}: face_recognition_models, its weights, is not installed; {INSTALL_HINT}")
        path = Path(found.origin).parent / "models" / DLIB_WEIGHTS
        try:
            self._network = self._dlib.face_recognition_model_v1(str(path))
        except RuntimeError as error:
            raise BadInput(f"{path}: not the weights of {self.name} ({first_line(error)}); {INSTALL_HINT}") from error

    def embed(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """See `Embedder`; dlib aligns each face by its 68 iBUG points."""
        faces = zip(to_bytes(images), np.asarray(landmarks), strict=True)
        return np.stack([self._network.compute_face_descriptor(image, self._face(points)) for image, points in faces])

    def _face(self, points: np.ndarray):
        places = np.floor(points[:68, :2]).astype(int)  # the pixel each point lies in: ours count from pixel edges
        box = self._dlib.rectangle(*places.min(0).tolist(), *places.max(0).tolist())
        return self._dlib.full_object_detection(box, [self._dlib.point(x, y) for x, y in places.tolist()])
