"""Measures of expression: blendshapes, gaze, and what flickers inside a mouth."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import unit
from fewshot_heads.landmarks import BROWS, INNER_LIPS, LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS, Landmarks
from fewshot_heads.landmarks.aspect_ratio import smaller_eye_aspect_ratio
from fewshot_heads.landmarks.canonical_face import CanonicalFace

# Names of the scores of `MediaPipeDetector.expression`, in their order: `_neutral`, then those of ARKit.
BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
N_BLENDSHAPES = len(BLENDSHAPES)
# Groups of blendshapes whose mean is one movement, as indices of `MediaPipeDetector.expression`.
MOVEMENTS = {"brow": [3, 4, 5], "blink": [9, 10], "jaw": [25], "smile": [44, 45]}
_MIN_DEVIATION = 0.03  # standard deviation of a driver's score; a driver who moves less does not make the movement
_MIN_BROW_DEVIATION_HEAD_UNITS = 0.006  # the same of a driver's brow height; the detector's noise is half of it
_EYEBALL_RADIUS_EYE_WIDTHS = 0.41  # 12 mm of 29 mm between the corners
_SHUT_ASPECT_RATIO = 0.1  # of an eye that shows no iris; where a detector guesses it is no gaze
_MIN_GAP_PIXELS = 2.0  # between the lips of an open mouth
_PATCH = (32, 16)  # width and height of an unfolded mouth, pixels


def expression_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the mean absolute difference of blendshapes, or of their changes, float64 [N].

    Two people with the same expression have different scores. Between people, compare how the scores change.
    The result is NaN where an input is NaN.

    Args:
        a: blendshapes [N, 52] of `MediaPipeDetector.expression`, or their change since a reference.
        b: the same of another face.

    Raises:
        BadInput: if the blendshapes have another shape.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or a.shape[1] != N_BLENDSHAPES or a.shape != b.shape:
        raise BadInput(f"blendshapes of shapes {a.shape} and {b.shape}, expected [N,{N_BLENDSHAPES}] both")
    return np.abs(a - b).mean(1)


def movement_correlations(result: np.ndarray, driver: np.ndarray) -> dict[str, float]:
    """Returns movement -> correlation of its score over the frames of a result and of its driver, -1 to 1.

    A movement that the driver does not make, or that fewer than three frames show, has NaN.

    Args:
        result: blendshapes [T, 52] of `MediaPipeDetector.expression`. NaN without a face.
        driver: blendshapes [T, 52].

    Raises:
        BadInput: if the blendshapes have another shape.
    """
    expression_error(result, driver)  # checks
    known = np.isfinite(result).all(1) & np.isfinite(driver).all(1)
    correlations = {}
    for name, columns in MOVEMENTS.items():
        a, b = (scores[known][:, columns].mean(1) for scores in (result, driver))
        correlations[name] = _correlation(a, b, _MIN_DEVIATION)
    return correlations


def brow_correlation(result: np.ndarray, driver: np.ndarray) -> float:
    """Returns the correlation of the height of the brows over the frames of a result and of its driver, -1 to 1.

    A score of the brows saturates in many faces, and changes with the pose of the head. Their height does neither. The
    result is NaN if the driver hardly moves the brows, or if fewer than three frames show both faces.

    Args:
        result: landmarks [T, 70, 3], pixels and depth. NaN without a face.
        driver: landmarks [T, 70, 3], pixels and depth.

    Raises:
        BadInput: if the landmarks have another shape.
    """
    a, b = brow_heights(result), brow_heights(driver)
    if a.shape != b.shape:
        raise BadInput(f"landmarks of {len(a)} and {len(b)} frames, expected as many of both")
    known = np.isfinite(a) & np.isfinite(b)
    return _correlation(a[known], b[known], _MIN_BROW_DEVIATION_HEAD_UNITS)


def _correlation(result: np.ndarray, driver: np.ndarray, least: float) -> float:
    """Returns the correlation of two series [T]. NaN for under three frames, or a driver who deviates by less."""
    if len(result) < 3 or driver.std() < least:
        return float("nan")
    return float(np.corrcoef(result, driver)[0, 1]) if result.std() > 0 else 0.0


def brow_heights(landmarks: np.ndarray) -> np.ndarray:
    """Returns how far the brows are above the corners of the eyes, head units, float64 [T]. NaN without a face.

    Args:
        landmarks: [T, 70, 3], pixels and depth.

    Raises:
        BadInput: if the landmarks have another shape.
    """
    landmarks = _checked(landmarks)
    heights = np.full(len(landmarks), np.nan)
    for i in np.flatnonzero(np.isfinite(landmarks).all((1, 2))):
        down = CanonicalFace.of(Landmarks.from_array(landmarks[i])).shape[:, 1]
        corners = [down[eye][[0, 3]].mean() for eye in (RIGHT_EYE, LEFT_EYE)]
        heights[i] = np.mean(corners) - down[BROWS].mean()
    return heights


def gaze(landmarks: np.ndarray) -> np.ndarray:
    """Returns where the eyes look in the head, degrees, float64 [N, 2]: to the viewer's right, and down.

    The angle is that of an eyeball whose iris is displaced from the middle of the eye's corners, the mean of both eyes.
    The middle is a different direction in every person, so compare changes. The result is NaN without a face, and where
    an eye is shut.

    Args:
        landmarks: [N, 70, 3], pixels and depth.

    Raises:
        BadInput: if the landmarks have another shape.
    """
    landmarks = _checked(landmarks)
    degrees = np.full((len(landmarks), 2), np.nan)
    open_eyes = smaller_eye_aspect_ratio(landmarks) > _SHUT_ASPECT_RATIO
    for i in np.flatnonzero(np.isfinite(landmarks).all((1, 2)) & open_eyes):
        shape = CanonicalFace.of(Landmarks.from_array(landmarks[i])).shape
        angles = []
        for eye, iris in ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS)):
            corners = shape[eye][[0, 3]]
            radius = _EYEBALL_RADIUS_EYE_WIDTHS * np.linalg.norm(corners[1] - corners[0])
            angles.append(np.arcsin(np.clip((shape[iris] - corners.mean(0))[:2] / radius, -1, 1)))
        degrees[i] = np.degrees(np.mean(angles, 0))
    return degrees


def _checked(landmarks: np.ndarray) -> np.ndarray:
    """Returns landmarks as float64 [N, 70, 3]. Raises BadInput for another shape."""
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (70, 3):
        raise BadInput(f"landmarks of shape {landmarks.shape}, expected [N,70,3]: pixels and depth")
    return landmarks


def mouth_flicker(images: np.ndarray, landmarks: np.ndarray) -> float:
    """Returns the mean absolute difference of consecutive frames inside the lips, 0 to 1.

    The inside is unfolded to a patch between the lips, so a mouth that only moves or opens does not count.
    A pair of frames in which the lips meet, or without two faces, is left out. The result is NaN if no pair is left.

    Args:
        images: RGB [T, H, W, 3], uint8 or float from 0 to 1.
        landmarks: [T, 68 or 70, 2], pixels.

    Raises:
        BadInput: if the landmarks do not fit the images.
    """
    images, landmarks = np.asarray(images), np.asarray(landmarks, dtype=np.float64)[..., :2]
    if landmarks.ndim != 3 or landmarks.shape[1] < 68 or len(landmarks) != len(images):
        raise BadInput(f"landmarks of shape {landmarks.shape} for {len(images)} images, expected [T,68 or 70,2]")
    patches = [_unfolded_mouth(image, lips) for image, lips in zip(images, landmarks[:, INNER_LIPS], strict=True)]
    changes = [np.abs(a - b).mean() for a, b in zip(patches, patches[1:], strict=False) if not (a is None or b is None)]
    return float(np.mean(changes)) if changes else float("nan")


def _unfolded_mouth(image: np.ndarray, lips: np.ndarray) -> np.ndarray | None:
    """Returns the inside of a mouth, [16, 32, 3], 0 to 1. None if the lips [8, 2] meet, or are NaN.

    Each column of the patch runs from a place on the upper lip to the place on the lower lip below it.
    """
    upper, lower = lips[:5], lips[[0, 7, 6, 5, 4]]  # from corner to corner
    if not np.linalg.norm(upper - lower, axis=1).max() >= _MIN_GAP_PIXELS:
        return None
    columns, rows = np.meshgrid((np.arange(_PATCH[0]) + 0.5) / _PATCH[0], (np.arange(_PATCH[1]) + 0.5) / _PATCH[1])
    edges = [np.stack([np.interp(4 * columns, range(5), lip[:, i]) for i in range(2)], -1) for lip in (upper, lower)]
    positions = (edges[0] + rows[..., None] * (edges[1] - edges[0]) - 0.5).astype(np.float32)
    return cv2.remap(unit(image)[0].astype(np.float32), positions[..., 0], positions[..., 1], cv2.INTER_LINEAR)
