"""How far eyes and mouths are open, in the measures that the library uses."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import INNER_LIPS, LEFT_EYE, N_POINTS, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d

EYES_AND_BROWS = ((RIGHT_EYE, slice(17, 22)), (LEFT_EYE, slice(22, 27)))  # each with its brow
UPPER_LID, LOWER_LID = [1, 2], [5, 4]  # lids of an eye's six points, beside its corners 0 and 3

_OPEN_EYE_AREA_RATIO = 0.08  # area of an eye over its width squared; under it, it is shut

OPENING_REGIONS = (RIGHT_EYE, LEFT_EYE, INNER_LIPS)
# Area of an eye over its width squared; open eyes have 0.2 and more.
_CLOSED_AREA_RATIO, _HALF_OPEN_AREA_RATIO = 0.1, 0.16


def eye_aspect_ratios(picture: Landmarks, face: Landmarks) -> np.ndarray:
    """[2] heights of the right and the left eye over their widths, were they as far open as in the picture, in the pose
    of the face: about 0.3 from the front, more for a far eye, less in a nod."""
    own = fit_pose(picture)
    points = fit_pose(face).apply(own.undo(landmarks_3d(picture, own)))[:N_POINTS, :2]
    return np.array([eye_aspect_ratio(points[eye]) for eye, _ in EYES_AND_BROWS])


def eye_aspect_ratio(eye: np.ndarray) -> float:
    """Height over width of an eye [6, 2], in the picture."""
    x, y = eye_axes(eye)
    gap = ((eye[LOWER_LID] - eye[UPPER_LID]) @ y).mean()
    return float(gap / max((eye[3] - eye[0]) @ x, 1e-6))


def eye_axes(eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [2] along an eye [6, 2], from corner to corner, and down."""
    x = (eye[3] - eye[0]) / max(float(np.linalg.norm(eye[3] - eye[0])), 1e-6)
    return x, np.array([-x[1], x[0]])


def eye_is_open(eye: np.ndarray) -> bool:
    return cv2.contourArea(eye.astype(np.float32)) > _OPEN_EYE_AREA_RATIO * float(((eye[0] - eye[3]) ** 2).sum())


def mouth_aspect_ratios(landmarks: np.ndarray) -> np.ndarray:
    """[T]: gap of the inner lips over the mouth's width."""
    gap = np.linalg.norm(landmarks[:, [61, 62, 63], :2] - landmarks[:, [67, 66, 65], :2], axis=-1)
    width = np.linalg.norm(landmarks[:, 48, :2] - landmarks[:, 54, :2], axis=-1)
    return gap.mean(1) / np.maximum(width, 1e-6)


def smaller_eye_aspect_ratio(face: np.ndarray) -> float:
    """`eye_aspect_ratio` of the eye that is open less."""
    return min(eye_aspect_ratio(face[eye, :2]) for eye in (RIGHT_EYE, LEFT_EYE))


def disocclusion_amount(source: Landmarks, driver: Landmarks) -> np.ndarray:
    """[3] how far the driver opens a right eye, a left eye and a mouth that are shut in the source, 0 to 1."""
    before, now = _frontal_points(source), _frontal_points(driver)
    return np.array([_region_disocclusion(before, now, part) for part in OPENING_REGIONS])


def _frontal_points(face: Landmarks) -> np.ndarray:
    """[70, 2] seen from the front: a turn narrows the far eye, which is no opening."""
    pose = fit_pose(face)
    return pose.undo(landmarks_3d(face, pose))[:N_POINTS, :2]


def _region_disocclusion(before: np.ndarray, now: np.ndarray, part: slice) -> float:
    was, opening = region_area_ratio(before[part]), region_area_ratio(now[part])
    share = np.clip((0.7 - (was + 0.03) / (opening + 0.03)) / 0.4, 0, 1)
    if part is not INNER_LIPS:  # an eye that shows its iris is carried better, however wide, than it is painted
        share *= np.clip((_HALF_OPEN_AREA_RATIO - was) / (_HALF_OPEN_AREA_RATIO - _CLOSED_AREA_RATIO), 0, 1)
    return float(share)


def region_area_ratio(outline: np.ndarray) -> float:
    """Area of an eye or mouth [N, 2] over its width squared."""
    x, y = outline.T
    area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    return float(area / max(np.ptp(outline, axis=0).max() ** 2, 1e-6))
