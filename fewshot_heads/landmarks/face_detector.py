"""BlazeFace, the detector of the Face Landmarker: where the faces of an image are.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019 (arXiv 1907.05047).
"""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks.networks import load, sigmoid
from fewshot_heads.landmarks.turned_square import TurnedSquare

_SIZE = 128  # side of the network's input, pixels
_GRIDS = ((16, 2), (8, 6))  # cells to a side, anchors to a cell
_MAX_OVERLAP = 0.5  # intersection over union, up to which two boxes are two faces
_FACE_SCALE = 1.5  # side of the square around a face, over the detected box
_CENTER, _BOX_SIZE, _RIGHT_EYE, _LEFT_EYE = range(4)  # rows of a detection


class FaceDetector:
    """Finds faces that fill at least about a tenth of an image, in about 0.7 ms.

    Args:
        min_confidence: least confidence of a face, 0 to 1.
    """

    def __init__(self, min_confidence: float) -> None:
        self._network, self._min_confidence, self._anchors = load("face_detector"), min_confidence, anchors()

    def __call__(self, image: np.ndarray, max_faces: int) -> list[TurnedSquare]:
        """Returns a square around each face, upright as the face is, the most certain face first.

        Args:
            image: uint8 RGB [H, W, 3].
            max_faces: maximum number of faces.
        """
        whole = TurnedSquare.around(image)
        pixels = whole.cut(image, _SIZE, cv2.BORDER_CONSTANT).astype(np.float32) / 127.5 - 1
        offsets, logits = self._network(pixels[None])
        scores = sigmoid(logits[0, :, 0])
        certain = scores >= self._min_confidence
        found = decode(offsets[0, certain], self._anchors[certain])
        is_box = (found[:, _BOX_SIZE] > 0).all(1)  # of the least certain ones, some have sides below 0
        faces = merge_overlapping(found[is_box], scores[certain][is_box])[:max_faces]
        return [_square_around(face, whole) for face in faces]


def anchors() -> np.ndarray:
    """Returns the centers of the network's anchors, float32 [896, 2], 0 to 1 of its input."""
    centers = []
    for cells, count in _GRIDS:
        middles = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
        centers.append(grid.repeat(count, axis=0))
    return np.concatenate(centers).astype(np.float32)


def decode(offsets: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Returns detections [N, 8, 2], 0 to 1 of the network's input: box center, box size, and six points of a face.

    Args:
        offsets: [N, 16], the network's output, pixels of its input.
        centers: [N, 2], of the anchors.
    """
    detections = offsets.reshape(-1, 8, 2) / _SIZE
    detections[:, _CENTER] += centers
    detections[:, _RIGHT_EYE:] += centers[:, None]
    return detections


def merge_overlapping(detections: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
    """Returns one detection [8, 2] a face: the mean of those that overlap the most certain one, weighted by scores.

    Args:
        detections: [N, 8, 2], as from `decode`.
        scores: [N], 0 to 1.
    """
    order = np.argsort(-scores, kind="stable")
    detections, scores = detections[order], scores[order]
    faces = []
    while len(detections):
        same = _overlap(detections, detections[0]) > _MAX_OVERLAP
        faces.append(np.average(detections[same], axis=0, weights=scores[same]))
        detections, scores = detections[~same], scores[~same]
    return faces


def _overlap(detections: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the intersection over union of boxes [N, 8, 2] with another one [8, 2], [N]."""
    low, high = (detections[:, _CENTER] + sign * detections[:, _BOX_SIZE] / 2 for sign in (-1, 1))
    other_low, other_high = (other[_CENTER] + sign * other[_BOX_SIZE] / 2 for sign in (-1, 1))
    common = np.clip(np.minimum(high, other_high) - np.maximum(low, other_low), 0, None).prod(1)
    return common / (detections[:, _BOX_SIZE].prod(1) + other[_BOX_SIZE].prod() - common)


def _square_around(face: np.ndarray, whole: TurnedSquare) -> TurnedSquare:
    """Returns the square around a detected face [8, 2], whose x axis is the line of the eyes."""
    points = whole.to_image(face)
    x, y = points[_LEFT_EYE] - points[_RIGHT_EYE]
    return TurnedSquare(points[_CENTER], _FACE_SCALE * face[_BOX_SIZE].max() * whole.side, np.arctan2(y, x))
