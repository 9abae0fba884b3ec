"""The driver's face that corresponds to the source image in relative motion.

It is the frame in which the driver looks most like the source. A clip of a laughing woman has no frame in which she
looks neutral. What her smile exceeds that of neutral faces by is taken off, so the source gets all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from fewshot_heads.landmarks import LEFT_EYE, LEFT_MOUTH_CORNER, RIGHT_EYE, RIGHT_MOUTH_CORNER
from fewshot_heads.landmarks.canonical_face import CanonicalFace

# Radians of rotation that count, in a reference frame, as much as an eye that closes, and as 1 of the mouth's ratio.
_EYE_OPENING_RADIANS, _MOUTH_RATIO_RADIANS = 0.6, 4
_OPEN_EYE_RATIO = 0.2  # aspect ratio of a source's eye from which it is open, however wide others are

SMILE_FILE = Path(__file__).with_name("smile.json")  # of `benchmarks.studies.smile`
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
    distances, openings = [], []
    for face in driver:  # one at a time: those of a long clip would fill the memory
        rotation = np.linalg.norm(cv2.Rodrigues(face.pose.rotation @ source.pose.rotation.T)[0])
        mouth = abs(face.mouth_opening() - source.mouth_opening())
        distances.append(float(rotation + _MOUTH_RATIO_RADIANS * mouth))
        openings.append([face.eye_opening(eye) for eye in (RIGHT_EYE, LEFT_EYE)])
    usual = np.maximum(np.median(openings, axis=0), 1e-6)
    of_source = [min(source.eye_opening(eye) / _OPEN_EYE_RATIO, 1.0) for eye in (RIGHT_EYE, LEFT_EYE)]
    return int(np.argmin(distances + _EYE_OPENING_RADIANS * np.abs(openings / usual - of_source).sum(1)))


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
