"""The driver's face that corresponds to the source image in relative motion.

It comes from the frames in which the driver looks most like the source. A clip of a laughing woman has none in which
she looks neutral. What her smile exceeds that of neutral faces by is taken off, so the source gets all of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from fewshot_heads.landmarks import (
    LEFT_EYE,
    LEFT_IRIS,
    LEFT_MOUTH_CORNER,
    LIPS,
    N_POINTS,
    RIGHT_EYE,
    RIGHT_IRIS,
    RIGHT_MOUTH_CORNER,
    Landmarks,
)
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, Pose

# Radians of rotation that count, in a reference frame, as much as an eye that closes, and as 1 of the mouth's ratio.
_EYE_OPENING_RADIANS, _MOUTH_RATIO_RADIANS = 0.6, 4
_LID_OPENING_RADIANS = 3.0  # the same for the lids alone
_USUAL_PERCENTILE = 75  # of how far a driver's eyes are open: more blink or look down than open them wide
_NEAR_SHARE, _MOST_NEAR = 0.25, 25  # frames whose mean a reference is
_OPEN_EYE_RATIO = 0.2  # aspect ratio of a source's eye from which it is open, however wide others are

SMILE_FILE = Path(__file__).with_name("smile.json")  # of `benchmarks.studies.smile`
_CHIN = slice(4, 13)
_NEAREST_LANDMARK = ((MEAN_SURFACE[:, None] - MEAN_HEAD) ** 2).sum(-1).argmin(1)  # of each surface point
_LIP_CENTERS = [51, 57]
_DEVIATIONS = 1.5  # of neutral faces, up to which a smile is the shape of a face
_MAX_SMILES = 1.5  # of the mean smile, that are taken off
_smile = json.loads(SMILE_FILE.read_text())
_DISPLACEMENT = np.array(_smile["displacement"])  # [221, 3], head units, of the mean smile
_LEAST_SMILE = _smile["neutral"][0] + _DEVIATIONS * _smile["neutral"][1]  # scores
_SMILE = _smile["smiling"][0] - _smile["neutral"][0]


def choose_reference(source: CanonicalFace, driver: Iterable[CanonicalFace]) -> int:
    """Returns the index of the driver frame nearest to the source in pose and expression.

    Eyes are compared by how far they are open, where 1 is usual: narrow eyes are no reason for a frame in a blink.

    Args:
        source: face of the source.
        driver: face of each driver frame.
    """
    return int(_Distances.of(source, driver).whole.argmin())


def reference_face(source: CanonicalFace, driver: Sequence[Landmarks]) -> CanonicalFace:
    """Returns the driver as the source is.

    Pose and shape come from frames of their own: a driver who is silent only where the head is turned is not turned at
    rest. Both are means of near frames: what the detector gets wrong in one frame would be wrong in every frame of the
    result, and which frame is the nearest may depend on a trifle. The lids are those of frames in which the eyes are as
    far open. Mouth and gaze, which the mean would blur, are those of the nearest frame.

    Args:
        source: face of the source.
        driver: face of each driver frame.
    """

    @cache  # a driver may compute its faces on access
    def face(frame: int) -> CanonicalFace:
        return CanonicalFace.of(driver[frame])

    distances = _Distances.of(source, map(CanonicalFace.of, driver))
    pose, shape = _mean_pose(face, distances.pose), _mean_shape(face, distances.whole)
    own = _of_parts(np.r_[_CHIN, LIPS, RIGHT_IRIS, LEFT_IRIS], len(shape))
    shape[own] = face(int(distances.whole.argmin())).shape[own]
    lids = np.r_[RIGHT_EYE, LEFT_EYE]  # of the same frames: a face that winks in no frame does not wink here
    shape[lids] = _mean_shape(face, distances.lids)[lids]
    return CanonicalFace(pose, shape)


class _Distances(NamedTuple):
    """How far the driver's frames are from the source, radians.

    Attributes:
        pose: [T], in the rotation of the head.
        whole: [T], in pose and expression.
        lids: [T], in pose and in how far the eyes are open, which counts more.
    """

    pose: np.ndarray
    whole: np.ndarray
    lids: np.ndarray

    @classmethod
    def of(cls, source: CanonicalFace, driver: Iterable[CanonicalFace]) -> _Distances:
        """Returns the distances of frames, each the face of a driver."""
        rotations, mouths, openings = [], [], []
        for face in driver:  # one at a time: those of a long clip would fill the memory
            rotations.append(np.linalg.norm(cv2.Rodrigues(face.pose.rotation @ source.pose.rotation.T)[0]))
            mouths.append(abs(face.mouth_opening() - source.mouth_opening()))
            openings.append([face.eye_opening(eye) for eye in (RIGHT_EYE, LEFT_EYE)])
        usual = np.maximum(np.percentile(openings, _USUAL_PERCENTILE, axis=0), 1e-6)
        of_source = [min(source.eye_opening(eye) / _OPEN_EYE_RATIO, 1.0) for eye in (RIGHT_EYE, LEFT_EYE)]
        eyes, rotation = np.abs(openings / usual - of_source).sum(1), np.array(rotations)
        whole = rotation + _MOUTH_RATIO_RADIANS * np.array(mouths) + _EYE_OPENING_RADIANS * eyes
        return cls(rotation, whole, rotation + _LID_OPENING_RADIANS * eyes)


def _mean_pose(face: Callable[[int], CanonicalFace], distances: np.ndarray) -> Pose:
    """Returns the mean pose of the nearest frames, see `_nearest`. `face` returns the face of a frame."""
    frames, weights = _nearest(distances)
    poses = [face(frame).pose for frame in frames]

    def mean(values: Iterable[Any]) -> np.ndarray:
        return np.average(list(values), axis=0, weights=weights)

    left, _, right = np.linalg.svd(mean(pose.rotation for pose in poses))  # the nearest rotation (Moakher, 2002)
    return Pose(left @ right, mean(pose.translation for pose in poses), float(mean(pose.scale for pose in poses)))


def _mean_shape(face: Callable[[int], CanonicalFace], distances: np.ndarray) -> np.ndarray:
    """Returns the mean shape [70 or 221, 3] of the nearest frames, as `_mean_pose`."""
    frames, weights = _nearest(distances)
    shapes = [face(frame).shape for frame in frames]
    count = min(map(len, shapes))
    return np.average([shape[:count] for shape in shapes], axis=0, weights=weights)


def _nearest(distances: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Returns the nearest frames, and as their weights the inverse squared distances.

    Of many near frames, some are taken evenly: the very nearest of a driver who never looks where the source looks are
    an extreme, from which the driver would always be turned away. A frame that is equal to the source counts alone.

    Args:
        distances: [T], of the frames.
    """
    near = np.argsort(distances, kind="stable")[: max(int(_NEAR_SHARE * len(distances)), 1)]
    near = near[:: -(-len(near) // _MOST_NEAR)]
    return near.tolist(), np.maximum(distances[near], 1e-6) ** -2.0


def _of_parts(landmarks: np.ndarray, count: int) -> np.ndarray:
    """Returns some landmarks, and the surface points to which one of them is the nearest landmark.

    Args:
        landmarks: indices.
        count: 70 for the landmarks, 221 for the landmarks and the surface.
    """
    surface = N_POINTS + np.flatnonzero(np.isin(_NEAREST_LANDMARK, landmarks))
    return np.concatenate([landmarks, surface[surface < count]])


def smile_score(shape: np.ndarray) -> float:
    """Returns how far the corners of the mouth are above its center, and how wide the mouth is, head units.

    Args:
        shape: [70 or 221, 3], `CanonicalFace.shape`.
    """
    corners = shape[[RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER]]
    lift = shape[_LIP_CENTERS, 1].mean() - corners[:, 1].mean()
    return float(lift + np.linalg.norm(corners[0] - corners[1]) / 2)


def without_smile(reference: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Returns the reference's shape without the smile that the source lacks.

    Args:
        reference: [70 or 221, 3], shape of the driver in the reference frame.
        source: [70 or 221, 3], shape of the source.
    """
    excess = _smiles(reference) - _smiles(source)
    return reference - np.clip(excess, 0, _MAX_SMILES) * _DISPLACEMENT[: len(reference)]


def _smiles(shape: np.ndarray) -> float:
    """Returns how many mean smiles a face exceeds neutral faces by, 0 or more."""
    return max(smile_score(shape) - _LEAST_SMILE, 0.0) / _SMILE
