"""Edits a face by controls.

The controls of expression and gaze are directions in head units, measured on real clips:
`benchmarks/studies/controls.py` has fitted them, so that some scores of MediaPipe's blendshapes change and the others
stay. Lids close by the gap between them, and the head turns on its neck.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from fewshot_heads.driving.controls import check_controls
from fewshot_heads.driving.retargeting import region_gains
from fewshot_heads.landmarks import N_POINTS, N_SURFACE, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.lids import close_lids
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, NECK, Pose

Directions = Mapping[str, tuple[np.ndarray, np.ndarray]]
_DIRECTIONS = Path(__file__).parent / "control_directions.json"
_MIN_LID_GAP, _MAX_LID_GAP = 0.36, 1.5  # of the source's: lids at eyes=-1 and eyes=1
_MEAN_FACE = CanonicalFace(
    Pose(np.eye(3), np.zeros(3), 1.0), np.vstack([MEAN_HEAD, MEAN_SURFACE]).astype(np.float64)
)  # whose eyes and mouth the directions fit


def edit_face(source: Landmarks, values: Mapping[str, float], directions: Directions | None = None) -> Landmarks:
    """Returns a face that is changed by controls; without a value other than 0 it is the source itself.

    Args:
        source: the face, pixels.
        values: control -> value, see `controls.CONTROLS`.
        directions: of the controls of expression and gaze; None takes the shipped ones.

    Raises:
        BadInput: a control does not exist, or its value is out of range.
    """
    check_controls(values)
    values = {name: float(value) for name, value in values.items() if value}
    if not values:
        return source
    face = CanonicalFace.of(source)
    shape = _edit_lids(face.shape + _shape_change(face, values, directions or load_directions()), values)
    return Landmarks.from_array(_turn(face.pose, values).apply(shape), source.confidence)


def _shape_change(face: CanonicalFace, values: Mapping[str, float], directions: Directions) -> np.ndarray:
    """Returns what the directions add to a face's shape, [70 or 221, 3], head units."""
    change = np.zeros((N_POINTS + N_SURFACE, 3))
    for name, (positive, negative) in directions.items():
        value = values.get(name, 0.0)
        change += max(value, 0.0) * positive + max(-value, 0.0) * negative
    change[:N_POINTS] *= region_gains(face, _MEAN_FACE)
    return change[: len(face.shape)]


def _edit_lids(shape: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
    """Returns a shape with lids as `eyes`, `blink` and the winks want them."""
    eyes = values.get("eyes", 0.0)
    gap = 1 + (_MAX_LID_GAP - 1) * max(eyes, 0.0) - (1 - _MIN_LID_GAP) * max(-eyes, 0.0)
    winks = np.array([[values.get("wink_right", 0.0), values.get("wink_left", 0.0)]])
    return close_lids(shape[None], 1 - gap * (1 - values.get("blink", 0.0)) * (1 - winks))[0]


def _turn(pose: Pose, values: Mapping[str, float]) -> Pose:
    """Returns a pose that is turned about the neck by `yaw`, `pitch` and `roll`."""
    pitch, yaw, roll = np.radians([values.get(name, 0.0) for name in ("pitch", "yaw", "roll")])
    # x points right, y down and z away from the viewer.
    turns = [cv2.Rodrigues(np.array(vector))[0] for vector in ((0, 0, roll), (0, -yaw, 0), (-pitch, 0, 0))]
    rotation = turns[0] @ turns[1] @ turns[2] @ pose.rotation
    shift = pose.scale * (NECK @ pose.rotation.T - NECK @ rotation.T)[0]
    return Pose(rotation, pose.translation + shift, pose.scale)


@cache
def load_directions() -> Directions:
    """Returns control -> what its values 1 and -1 add to a shape, [221, 3] each, head units.

    The 70 landmarks come first, the surface follows.
    """
    stored = json.loads(_DIRECTIONS.read_text(encoding="utf-8"))
    still = np.zeros((N_POINTS + N_SURFACE, 3))
    return {name: (np.array(signs["+"]), np.array(signs.get("-", still))) for name, signs in stored.items()}
