"""Faces in images that lie on a side or stand upside down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from fewshot_heads.driving.sequences import LazySequence
from fewshot_heads.landmarks import LEFT_EYE, OUTER_LIPS, RIGHT_EYE, Detector, Landmarks
from fewshot_heads.landmarks.crop import Crop

_WINDOW_PIXELS = 384  # side of the window in which a face is looked at again
# A detected face confirms a turn if its roll differs by less. Halfway to the next quarter turn, none is confirmed.
_MAX_ROLL_DEGREES = 45.0
_MAX_CONFIDENCE = 1 - 1e-7  # where a vote has its full weight


def detect_upright(image: np.ndarray, detector: Detector) -> tuple[np.ndarray, list[Landmarks], int]:
    """Returns an image turned so that its largest face is upright, its faces and the turns.

    Args:
        image: uint8 RGB [H, W, 3].
        detector: the landmark detector, which may need upright faces.

    Returns:
        The turned image; every face there, the largest first, none if no turn shows one; and the quarter turns
        counterclockwise, 0 to 3.
    """
    for turns in range(4):
        if faces := detector.detect(turned(image, turns)):
            break
    else:
        return image, [], 0
    image = turned(image, turns)
    further = turns_to_upright(image, faces[0], detector)
    if further and (upright := detector.detect(turned(image, further))):
        return turned(image, further), upright, (turns + further) % 4
    return image, faces, turns


def detect_turned(image: np.ndarray, detector: Detector, turns: int) -> list[Landmarks]:
    """Returns every face of an image, the largest first, in pixels of the image, as detected in the turned image.

    Args:
        image: uint8 RGB [H, W, 3].
        detector: the landmark detector.
        turns: quarter turns counterclockwise.
    """
    return [turned_back(face, turns, image.shape) for face in detector.detect(turned(image, turns))]


def turns_to_upright(image: np.ndarray, face: Landmarks | None, detector: Detector) -> int:
    """Returns the quarter turns counterclockwise, 0 to 3, that make a face of an image upright.

    A detector that expects upright faces finds one in an upside-down face too, with the mouth in the hair, but at a
    glance it finds it crooked and is less certain of it. In the other turns such a detector finds the true face. So
    each turn has a vote, whose weight is the information in its confidence: 16 for most true faces of MediaPipe. The
    image votes beside the window around the face, which may show no face at all.

    Args:
        image: uint8 RGB [H, W, 3].
        face: as it was detected, perhaps in an image that is not upright; None if none was.
        detector: the landmark detector.
    """
    views = [image] if face is None else [image, Crop.around([face], _WINDOW_PIXELS).cut(image)]
    votes = []
    for view, turns in product(views, range(4)):
        again = detector.glance(turned(view, turns))
        if again is not None:
            weight = -np.log(1 - min(again.confidence, _MAX_CONFIDENCE))
            votes.append((_roll_degrees(again) + 90 * turns, weight))
    # `max` takes the first of equals, so a face stays as it is if nothing speaks against it.
    return max(range(4), key=lambda turns: sum(weight * _agreement(roll, 90 * turns) for roll, weight in votes))


def upright_faces(faces: Sequence[Landmarks], side: int) -> Sequence[Landmarks]:
    """Returns the faces of a video that lies on a side, turned in its crop by the quarter that makes the first upright.

    Args:
        faces: one a frame, crop pixels.
        side: side of the crop, pixels.
    """
    turns = round(_roll_degrees(faces[0]) / 90)
    if turns == 0:
        return faces
    return LazySequence(lambda frame: turned_back(faces[frame], -turns, (side, side)), range(len(faces)))


def turned_back(face: Landmarks, turns: int, shape: tuple[int, ...]) -> Landmarks:
    """Returns a face of a turned image in pixels of the image before.

    Args:
        face: landmarks, pixels of the turned image.
        turns: quarter turns counterclockwise that turned the image.
        shape: height and width of the image before, pixels, and any further sizes.
    """
    height, width = shape[:2]
    turned_size = (width, height) if turns % 2 == 0 else (height, width)
    to_image = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns % 4)
    points = face.to_array()
    points[:, :2] = (points[:, :2] - np.array(turned_size) / 2) @ to_image.T + np.array([width, height]) / 2
    return Landmarks.from_array(points, face.confidence)


def turned(image: np.ndarray, turns: int) -> np.ndarray:
    """Returns an image turned counterclockwise.

    Args:
        image: [H, W, C].
        turns: quarter turns; negative ones turn clockwise.
    """
    return np.ascontiguousarray(np.rot90(image, turns))


def _roll_degrees(face: Landmarks) -> float:
    """Returns how far a face leans clockwise, degrees; 0 has the mouth below the eyes."""
    eyes = face.points[RIGHT_EYE.start : LEFT_EYE.stop].mean(0)
    x, y = face.points[OUTER_LIPS].mean(0) - eyes
    return float(np.degrees(np.arctan2(-x, y)))


def _agreement(roll: float, turn: float) -> float:
    """Returns how well a roll, degrees, confirms a turn, degrees, 0 to 1."""
    return max(1 - abs((roll - turn + 180) % 360 - 180) / _MAX_ROLL_DEGREES, 0.0)
