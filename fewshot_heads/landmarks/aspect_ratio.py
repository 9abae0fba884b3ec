"""Measures of how far eyes and mouths are open.

Each measure is a ratio of lengths or of areas of one face, so the face's size in the image does not matter. Each
formula has its own name. A threshold belongs to one formula and does not fit another.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from fewshot_heads.landmarks import (
    INNER_LIPS,
    LEFT_EYE,
    LEFT_MOUTH_CORNER,
    LOWER_INNER_LIP,
    N_POINTS,
    RIGHT_EYE,
    RIGHT_MOUTH_CORNER,
    UPPER_INNER_LIP,
    Landmarks,
)
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d

EYES_AND_BROWS = ((RIGHT_EYE, slice(17, 22)), (LEFT_EYE, slice(22, 27)))  # each eye and the brow above it
UPPER_LID, LOWER_LID = [1, 2], [5, 4]  # among an eye's six points, in pairs; points 0 and 3 are the corners
OPENING_REGIONS = (RIGHT_EYE, LEFT_EYE, INNER_LIPS)

_MIN_WIDTH, _MIN_AREA = 1e-6, 1e-6  # pixels or head units, and their squares: ratios stay finite if points coincide
_OPEN_EYE_AREA_PER_CORNER_DISTANCE2 = 0.08  # of `eye_is_open`; a smaller eye is closed
# Of `region_area_ratio`. Open eyes have 0.2 and more. An eye that shows its iris is better warped, however wide the
# driver's is, than synthesized: disocclusion fades out between these two.
_CLOSED_EYE_AREA_RATIO, _HALF_OPEN_EYE_AREA_RATIO = 0.1, 0.16
# Source over driver `region_area_ratio`: disocclusion starts below 0.7 and is complete 0.4 below that.
_DISOCCLUSION_START, _DISOCCLUSION_RAMP = 0.7, 0.4
_AREA_RATIO_OFFSET = 0.03  # added to both area ratios, so that the noise of closed regions is no opening


def eye_aspect_ratio(eye: np.ndarray) -> Any:
    """Returns the signed lid gap over the eye's width, measured along the eye's axes, a number or [...].

    The value is negative where the lids cross. `unsigned_eye_aspect_ratio` is the measure of the literature.

    Args:
        eye: [..., 6, 2], pixels or head units, in iBUG order: a corner, two upper lid points, the other corner, two
            lower lid points.
    """
    _, down = eye_axes(eye)
    gap = ((eye[..., LOWER_LID, :] - eye[..., UPPER_LID, :]) * down[..., None, :]).sum(-1).mean(-1)
    return gap / np.maximum(np.linalg.norm(eye[..., 3, :] - eye[..., 0, :], axis=-1), _MIN_WIDTH)


def unsigned_eye_aspect_ratio(eye: np.ndarray) -> float:
    """Returns the mean distance of paired lid points over the distance of the corners.

    About 0.3 for an open eye, under 0.1 for a closed one. Soukupova and Cech, "Real-Time Eye Blink Detection using
    Facial Landmarks", CVWW 2016, eq. 1.

    Args:
        eye: [6, 2], pixels or head units, points as in `eye_aspect_ratio`.
    """
    lid_distances = np.linalg.norm(eye[1] - eye[5]) + np.linalg.norm(eye[2] - eye[4])
    return float(lid_distances / (2 * np.linalg.norm(eye[0] - eye[3])))


def smaller_eye_aspect_ratio(face: np.ndarray) -> Any:
    """Returns the `eye_aspect_ratio` of the eye that is less open, a number or [...].

    Args:
        face: landmarks [..., 70 or 221, 2 or 3], pixels.
    """
    return np.minimum(*(eye_aspect_ratio(face[..., eye, :2]) for eye in (RIGHT_EYE, LEFT_EYE)))


def eye_aspect_ratios(source: Landmarks, target: Landmarks) -> np.ndarray:
    """Returns the `eye_aspect_ratio` of the source's eyes, seen in the target's pose.

    About 0.3 in a frontal pose. A turn raises the value of the far eye, a nod lowers both.

    Args:
        source: face whose eyes are measured, pixels.
        target: face whose pose is used, pixels.

    Returns:
        float64 [2]: right eye, left eye.
    """
    source_pose = fit_pose(source)
    points = fit_pose(target).apply(source_pose.undo(landmarks_3d(source, source_pose)))[:N_POINTS, :2]
    return np.array([eye_aspect_ratio(points[eye]) for eye, _ in EYES_AND_BROWS])


def eye_axes(eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the unit vectors [..., 2] along an eye, corner to corner, and downward across it.

    Args:
        eye: [..., 6, 2], pixels or head units, points as in `eye_aspect_ratio`.
    """
    corners = eye[..., 3, :] - eye[..., 0, :]
    along = corners / np.maximum(np.linalg.norm(corners, axis=-1, keepdims=True), _MIN_WIDTH)
    return along, np.stack([-along[..., 1], along[..., 0]], -1)


def eye_is_open(eye: np.ndarray) -> bool:
    """Returns whether the eye's area is more than 0.08 of its squared corner distance.

    Args:
        eye: [6, 2], pixels, points as in `eye_aspect_ratio`.
    """
    corner_distance2 = float(((eye[0] - eye[3]) ** 2).sum())
    return cv2.contourArea(eye.astype(np.float32)) > _OPEN_EYE_AREA_PER_CORNER_DISTANCE2 * corner_distance2


def mouth_aspect_ratios(landmarks: np.ndarray) -> np.ndarray:
    """Returns the inner lips' mean distance over the mouth's width, for each frame.

    Args:
        landmarks: [T, 70 or 221, 2 or 3], pixels.

    Returns:
        [T], 0 for closed lips.
    """
    gap = np.linalg.norm(landmarks[:, UPPER_INNER_LIP, :2] - landmarks[:, LOWER_INNER_LIP, :2], axis=-1)
    width = np.linalg.norm(landmarks[:, RIGHT_MOUTH_CORNER, :2] - landmarks[:, LEFT_MOUTH_CORNER, :2], axis=-1)
    return gap.mean(1) / np.maximum(width, _MIN_WIDTH)


def lip_gap(shape: np.ndarray) -> float:
    """Returns the mean vertical gap of the inner lips, head units.

    The gap is negative where the lips cross.

    Args:
        shape: [70 or 221, 3], head units, as `CanonicalFace.shape`.
    """
    return float((shape[LOWER_INNER_LIP, 1] - shape[UPPER_INNER_LIP, 1]).mean())


def region_area_ratio(outline: np.ndarray) -> float:
    """Returns a region's area over the squared larger side of its bounding box.

    Args:
        outline: points around an eye or a mouth, [N, 2], pixels or head units.
    """
    x, y = outline.T
    area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    return float(area / max(np.ptp(outline, axis=0).max() ** 2, _MIN_AREA))


def disocclusion_amount(source: Landmarks, driver: Landmarks) -> np.ndarray:
    """Returns how much the driver opens eyes and mouth that are closed in the source.

    The measure compares the `region_area_ratio` of both faces in a frontal pose. A turn alone narrows the far eye, and
    that must not count as an opening.

    Args:
        source: face of the source image, pixels.
        driver: face that the source is warped to, pixels.

    Returns:
        float64 [3], 0 to 1: right eye, left eye, mouth.
    """
    source_points, driver_points = _frontal_points(source), _frontal_points(driver)
    return np.array([_region_disocclusion(source_points, driver_points, region) for region in OPENING_REGIONS])


def _frontal_points(face: Landmarks) -> np.ndarray:
    """Returns the landmarks [70, 2] in a frontal pose, head units."""
    pose = fit_pose(face)
    return pose.undo(landmarks_3d(face, pose))[:N_POINTS, :2]


def _region_disocclusion(source_points: np.ndarray, driver_points: np.ndarray, region: slice) -> float:
    """Returns how much one region opens, 0 to 1, from frontal points [70, 2]."""
    source_ratio, driver_ratio = region_area_ratio(source_points[region]), region_area_ratio(driver_points[region])
    quotient = (source_ratio + _AREA_RATIO_OFFSET) / (driver_ratio + _AREA_RATIO_OFFSET)
    amount = np.clip((_DISOCCLUSION_START - quotient) / _DISOCCLUSION_RAMP, 0, 1)
    if region is not INNER_LIPS:
        fade = _HALF_OPEN_EYE_AREA_RATIO - _CLOSED_EYE_AREA_RATIO
        amount *= np.clip((_HALF_OPEN_EYE_AREA_RATIO - source_ratio) / fade, 0, 1)
    return float(amount)
