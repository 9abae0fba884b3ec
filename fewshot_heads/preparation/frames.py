"""The frames of footage on their way into a shard: watched for cuts, measured, compressed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import torch

from fewshot_heads.features.mobilefacenet import MobileFaceNet, align_face
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.landmarks import Landmarks

_EMBEDDED = 5  # frames of a clip whose mean embedding stands for its person
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


class SceneChangeMeter:
    """Frames passed on, with how much each differs from the one before (mean gray levels of a thumbnail)."""

    def __init__(self, frames: Iterable[np.ndarray]):
        self._frames = frames
        self.changes: list[float] = []

    def __iter__(self) -> Iterator[np.ndarray]:
        before = None
        for frame in self._frames:
            small = cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA).mean(2)
            self.changes.append(0.0 if before is None else float(np.abs(small - before).mean()))
            before = small
            yield frame


class Frames:
    """The frames of one shot as they come: compressed and measured."""

    def __init__(self, network: MobileFaceNet | None, count: int):
        self._network = network
        self._embedded = set(np.linspace(0, count - 1, min(_EMBEDDED, count)).round().astype(int).tolist())
        self._aligned: list[torch.Tensor] = []
        self.jpegs: list[bytes] = []
        self.landmarks: list[np.ndarray] = []
        self.sharpness: list[float] = []

    def add(self, picture: np.ndarray, face: Landmarks) -> None:
        """picture uint8 [S, S, 3]; face in its pixels."""
        if self._network and len(self.jpegs) in self._embedded:
            self._aligned.append(align_face(to_tensor(picture), face.points))
        self.jpegs.append(cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _JPEG)[1].tobytes())
        self.landmarks.append(face.to_array())
        self.sharpness.append(sharpness(picture, face))

    def embedding(self) -> list[float] | None:
        """The mean direction of the embeddings, [E]."""
        if not self._network:
            return None
        with torch.no_grad():
            vectors = torch.nn.functional.normalize(self._network(torch.stack(self._aligned)))
        return vectors.mean(0).tolist()


def sharpness(picture: np.ndarray, face: Landmarks) -> float:
    """Variance of the Laplacian of the face (Pech-Pacheco et al., ICPR 2000), squared gray levels."""
    left, top = np.maximum(face.box[:2], 0).astype(int)
    right, bottom = face.box[2:].astype(int) + 1
    gray = cv2.cvtColor(picture[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(gray, cv2.CV_64F).var())
