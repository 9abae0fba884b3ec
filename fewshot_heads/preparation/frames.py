"""Measures and compresses the frames of footage, and groups them by scene and face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import torch

from fewshot_heads.features.mobilefacenet import MobileFaceNet, align_face
from fewshot_heads.imaging.convert import to_tensor
from fewshot_heads.landmarks import Landmarks

_EMBEDDED_FRAMES = 5  # of a clip; the mean of their embeddings identifies the person
_THUMBNAIL_PX = (32, 32)
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


class SceneChangeMeter:
    """Passes frames on and measures how much each differs from the previous one.

    Attributes:
        changes: mean absolute difference of two gray thumbnails, 0 to 255, one value a frame. The first is 0.
    """

    def __init__(self, frames: Iterable[np.ndarray]):
        """Wraps a sequence of frames.

        Args:
            frames: uint8 [H, W, 3] each. They are read once.
        """
        self._frames = frames
        self.changes: list[float] = []

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the frames unchanged and appends to `changes`."""
        previous = None
        for frame in self._frames:
            thumbnail = cv2.resize(frame, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA).mean(2)
            self.changes.append(0.0 if previous is None else float(np.abs(thumbnail - previous).mean()))
            previous = thumbnail
            yield frame


class Frames:
    """Compresses and measures the frames of one shot as they arrive.

    Attributes:
        jpegs: the compressed frames.
        landmarks: [70 or 221, 3] a frame, pixels of the crop, as `Landmarks.to_array` returns them.
        sharpness: one value a frame, see `sharpness`.
    """

    def __init__(self, network: MobileFaceNet | None, count: int):
        """Starts an empty shot.

        Args:
            network: embeds faces; None computes no embedding.
            count: number of frames that are expected. Up to 5 of them are embedded, evenly spaced.
        """
        self._network = network
        self._embedded = set(np.linspace(0, count - 1, min(_EMBEDDED_FRAMES, count)).round().astype(int).tolist())
        self._aligned: list[torch.Tensor] = []
        self.jpegs: list[bytes] = []
        self.landmarks: list[np.ndarray] = []
        self.sharpness: list[float] = []

    def add(self, frame: np.ndarray, face: Landmarks) -> None:
        """Appends one frame.

        Args:
            frame: uint8 [S, S, 3], RGB.
            face: landmarks in pixels of the frame.
        """
        if self._network and len(self.jpegs) in self._embedded:
            self._aligned.append(align_face(to_tensor(frame), face.points))
        self.jpegs.append(cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), _JPEG)[1].tobytes())
        self.landmarks.append(face.to_array())
        self.sharpness.append(sharpness(frame, face))

    def embedding(self) -> list[float] | None:
        """Returns the mean of the unit-length face embeddings, [E]; None without a network."""
        if not self._network:
            return None
        with torch.no_grad():
            vectors = torch.nn.functional.normalize(self._network(torch.stack(self._aligned)))
        return vectors.mean(0).tolist()


def sharpness(frame: np.ndarray, face: Landmarks) -> float:
    """Returns the variance of the Laplacian within the face's box, squared gray levels.

    Source: Pech-Pacheco et al., ICPR 2000.

    Args:
        frame: uint8 [H, W, 3], RGB.
        face: landmarks in pixels of the frame.
    """
    left, top = np.maximum(face.box[:2], 0).astype(int)
    right, bottom = face.box[2:].astype(int) + 1
    gray = cv2.cvtColor(frame[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(gray, cv2.CV_64F).var())


def face_runs(
    with_face: np.ndarray, cuts: list[int], max_gap: float, count: int
) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Returns runs of frames with a face, and (first, end) of the gaps.

    Args:
        with_face: [N], ascending numbers of the frames that show the face.
        cuts: ascending numbers of frames that begin a new scene. A run ends before each.
        max_gap: frames without a face that a run may contain. A longer gap ends the run.
        count: number of frames of the video.
    """
    missing = np.diff(with_face, prepend=-1, append=count) - 1
    bounds = [-1, *with_face.tolist(), count]
    gaps = [(bounds[i] + 1, bounds[i + 1]) for i in np.flatnonzero(missing > max_gap)]
    breaks = set(np.flatnonzero(missing > max_gap)) | set(np.searchsorted(with_face, cuts))
    return [run for run in np.split(with_face, sorted(breaks - {0, len(with_face)})) if len(run)], gaps
