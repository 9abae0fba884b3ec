"""Labels footage with the mattes of a person and of the head, for training the parsing network.

The teachers are a person segmenter, a hair segmenter and the landmarks.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.datasets.kept_png import kept_png
from fewshot_heads.features.segmenters import Segmenter
from fewshot_heads.imaging.matting import head_share, refine_matte
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import MEAN_HEAD, Pose, fit_pose

# Distances in head units: the outer eye corners are 1 apart.
_EAR_REACH = 0.35  # beside the face at the height of the mouth
_HAT_REACH = 1.6  # beside and above the brows
_HAIR_REACH = 2.6  # hair farther from the face is a fur, or a person behind
_EDGE = 0.08  # width of soft ends
_MARGIN = 0.15  # by which segmenters miss edges
_STEEPNESS = 4.0
_MAX_PERSON_AREA = 0.93  # of the image; beyond it the segmenter found no edge
_MIN_FACE_COVER = 0.85  # of the face that must be person


class ParsingLabel(NamedTuple):
    """Mattes of one image.

    Attributes:
        person: float32 [H, W], 0 to 1.
        head: float32 [H, W], 0 to 1, nowhere above the person.
        trusted: whether the teachers agree.
    """

    person: np.ndarray
    head: np.ndarray
    trusted: bool


class LabelStore:
    """Labels of frames, each made once and kept as a PNG file named by the hash of its pixels.

    The red channel is the person, green the head; blue is 255 if the teachers agree.

    Args:
        folder: where the labels are kept.
        person_weights: selfie_segmentation.tflite.
        hair_weights: hair_segmentation.tflite.
    """

    def __init__(self, folder: str | Path, person_weights: str | Path, hair_weights: str | Path):
        self.folder, self._weights = Path(folder), (person_weights, hair_weights)
        self._networks: tuple[int, list[Segmenter]] | None = None

    def __call__(self, image: np.ndarray, face: Landmarks) -> ParsingLabel:
        """Returns the label of a frame.

        Args:
            image: uint8 RGB [H, W, 3].
            face: its landmarks, pixels.
        """
        path = self.folder / f"{hashlib.sha1(np.ascontiguousarray(image).tobytes()).hexdigest()[:20]}.png"

        def labelled() -> np.ndarray:
            label = label_image(image, face, *self._segmenters())
            trusted = np.full_like(label.person, label.trusted)
            return (np.dstack([trusted, label.head, label.person]) * 255 + 0.5).astype(np.uint8)

        stored = kept_png(path, labelled)
        values = stored.astype(np.float32) / 255
        return ParsingLabel(values[..., 2], values[..., 1], bool(stored[0, 0, 0]))

    def _segmenters(self) -> list[Segmenter]:
        """Returns the two networks, loaded once in each process."""
        if self._networks is None or self._networks[0] != os.getpid():
            self._networks = os.getpid(), [Segmenter(path) for path in self._weights]
        return self._networks[1]


def label_image(image: np.ndarray, face: Landmarks, person_net: Segmenter, hair_net: Segmenter) -> ParsingLabel:
    """Returns the mattes of the person with the given face.

    The head is the face, the hair, and what else of the person is near the face and above the mouth: ears, hats,
    scarves.

    Args:
        image: uint8 RGB [H, W, 3].
        face: its landmarks, pixels.
        person_net: segmenter of persons.
        hair_net: segmenter of hair.
    """
    pose = fit_pose(face)
    hull = _face_hull(face, image.shape)
    raw_person = person_net.matte(image)
    cover = float(raw_person[hull > 0.5].mean()) if (hull > 0.5).any() else 0.0
    trusted = cover > _MIN_FACE_COVER and float(raw_person.mean()) < _MAX_PERSON_AREA
    hair = _steepened(hair_net.matte(image), 0.4)
    person = _connected(np.maximum(_steepened(raw_person, 0.5), hull), hull)
    distance = cv2.distanceTransform((hull < 0.5).astype(np.uint8), cv2.DIST_L2, 5) / pose.scale
    head = np.maximum(hair * _below(distance, _HAIR_REACH), _near(distance, pose, image.shape))
    head = _connected(np.maximum(head * person, hull), hull)
    share = head_share(person, head, _MARGIN * pose.scale)
    person = np.maximum(refine_matte(image, person, _MARGIN * pose.scale), hull)
    share = np.maximum(refine_matte(image, share, _MARGIN * pose.scale / 2), hull)
    return ParsingLabel(person, person * share, trusted)


def _face_hull(face: Landmarks, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the face without ears and hair, float32 [H, W], with an antialiased edge."""
    points = face.to_array()[:, :2]
    outline = (cv2.convexHull(points.astype(np.float32)) * 16).round().astype(np.int32)
    mask: np.ndarray = np.zeros(shape[:2], np.uint8)
    return cv2.fillConvexPoly(mask, outline, 255, cv2.LINE_AA, 4).astype(np.float32) / 255


def _near(distance: np.ndarray, pose: Pose, shape: tuple[int, ...]) -> np.ndarray:
    """Returns where a person's pixels are ears, hats or scarves, float32 [H, W], 0 to 1."""
    y, _ = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    x = np.broadcast_to(np.arange(shape[1], dtype=np.float32), shape[:2])
    down = pose.rotation[:2, 1] / np.linalg.norm(pose.rotation[:2, 1])
    mouth = pose.apply(MEAN_HEAD[[48, 54]].mean(0)[None])[0]
    brow = pose.apply(MEAN_HEAD[17:27].mean(0)[None])[0]
    above_mouth = -((x - mouth[0]) * down[0] + (y - mouth[1]) * down[1]) / pose.scale
    brow_height = max(float((mouth[:2] - brow[:2]) @ down) / pose.scale, 0.3)
    share = (above_mouth / brow_height).clip(0, 1)
    reach = _EAR_REACH + (_HAT_REACH - _EAR_REACH) * share**2
    return (((reach - distance) / _EDGE).clip(0, 1) * (above_mouth / _EDGE).clip(0, 1)).astype(np.float32)


def _steepened(matte: np.ndarray, middle: float) -> np.ndarray:
    """Returns a matte with narrower edges around one of its values, because segmenters blur edges."""
    return (0.5 + _STEEPNESS * (matte - middle)).clip(0, 1).astype(np.float32)


def _below(values: np.ndarray, limit: float) -> np.ndarray:
    """Returns 1 where values are below a limit, 0 above, with a soft edge."""
    return ((limit - values) / _EDGE).clip(0, 1).astype(np.float32)


def _connected(matte: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Returns the matte without regions that do not touch the face; small holes are filled."""
    _, regions = cv2.connectedComponents((matte > 0.3).astype(np.uint8))
    counts = np.bincount(regions[(face > 0.5) & (regions > 0)], minlength=2)
    kept = (regions == int(counts.argmax())).astype(np.uint8)
    kept = cv2.dilate(kept, np.ones((5, 5), np.uint8)).astype(np.float32)
    return matte * cv2.GaussianBlur(kept, (0, 0), 1.0)
