"""Face-recognition networks for `metrics.Identity`. They measure only, without gradients.

Each network comes from a file that the user names, or from a package of the extra `benchmark`.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.features.loading import INSTALL_HINT, import_optional
from fewshot_heads.features.mobilefacenet import MobileFaceNet
from fewshot_heads.imaging.convert import unit_to_uint8

DLIB_WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"


class Embedder(Protocol):
    """A face-recognition network, as `metrics.Identity` uses it.

    Attributes:
        name: of the network, for reports.
    """

    name: str

    def embed(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Returns one embedding per face, float64 [N, 128].

        Args:
            images: RGB [N, H, W, 3], 0 to 1, N at least 1.
            landmarks: [N, 68 or 70, 2], pixels, all finite.
        """
        ...


def embedder(which: str | Path) -> Embedder:
    """Returns a face-recognition network.

    Args:
        which: "dlib", or a file with the state dict of MobileFaceNet.

    Raises:
        BadInput: if the package or the file cannot be used.
    """
    return DlibResNet() if str(which) == "dlib" else MobileFaceNet(which)


class DlibResNet:
    """The face embedding of dlib, a ResNet with 29 convolutions (King 2017).

    All embeddings have a large part in common. So the cosine of two people is about 0.85, and of one person 0.99.

    Attributes:
        name: of the network, for reports.
    """

    name = "dlib ResNet"

    def __init__(self) -> None:
        """Loads the weights from the package face-recognition-models.

        Raises:
            BadInput: if dlib or the package is missing.
        """
        self._dlib = import_optional("dlib", self.name)
        # Not imported: the package needs pkg_resources, which setuptools has removed.
        package = util.find_spec("face_recognition_models")
        if package is None or not package.origin:
            raise BadInput(f"{self.name}: face_recognition_models, its weights, is not installed; {INSTALL_HINT}")
        path = Path(package.origin).parent / "models" / DLIB_WEIGHTS
        try:
            self._network = self._dlib.face_recognition_model_v1(str(path))
        except RuntimeError as error:
            raise BadInput(f"{path}: not the weights of {self.name} ({first_line(error)}); {INSTALL_HINT}") from error

    def embed(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Returns one embedding per face, float64 [N, 128].

        dlib aligns each face by its 68 iBUG points.

        Args:
            images: RGB [N, H, W, 3], 0 to 1, N at least 1.
            landmarks: [N, 68 or 70, 2], pixels, all finite.
        """
        faces = zip(unit_to_uint8(images), np.asarray(landmarks), strict=True)
        return np.stack([self._network.compute_face_descriptor(image, self._face(points)) for image, points in faces])

    def _face(self, points: np.ndarray) -> Any:
        """Returns landmarks [68 or 70, 2] in the form of dlib, which counts whole pixels."""
        positions = np.floor(points[:68, :2]).astype(int)
        box = self._dlib.rectangle(*positions.min(0).tolist(), *positions.max(0).tolist())
        return self._dlib.full_object_detection(box, [self._dlib.point(x, y) for x, y in positions.tolist()])
