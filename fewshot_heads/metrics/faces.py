"""Who a face is, where its points are, how it is turned and what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import unit
from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d

if TYPE_CHECKING:
    from fewshot_heads.features.face_embedders import Embedder

BLENDSHAPES = 52
STEADY = np.array([*range(6), *range(11, 17), *range(27, 36), 36, 39, 42, 45])  # jaw's sides, nose, eye corners


class Identity:
    """The embedding of each picture's face, to be compared by `csim`.

    network: `dlib`, the file of MobileFaceNet's state dict, or any `judges.Embedder`. `name` is the network's.
    """

    def __init__(self, network: str | Path | Embedder) -> None:
        from fewshot_heads.features.face_embedders import embedder  # judges need this package's pictures

        self.embedder: Embedder = embedder(network) if isinstance(network, str | Path) else network
        self.name = self.embedder.name

    def __call__(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Images [N,H,W,3] and landmarks [N,68 or 70,2 or more] -> float64 [N,128]; NaN where the landmarks are."""
        scaled, landmarks = unit(images), np.asarray(landmarks)
        if landmarks.ndim != 3 or len(landmarks) != len(scaled) or landmarks.shape[1] < 68 or landmarks.shape[2] < 2:
            raise BadInput(f"landmarks of shape {landmarks.shape} for {len(scaled)} images, expected [N,68 or 70,2]")
        embeddings = np.full((len(scaled), 128), np.nan)
        points = landmarks[..., :2]
        seen = np.flatnonzero(np.isfinite(points).all((1, 2)))
        if len(seen):
            embeddings[seen] = self.embedder.embed(scaled[seen], points[seen])
        return embeddings


def csim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of two embeddings [...,D]: 1 for the same direction; NaN where one is NaN or zero."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return (a * b).sum(-1) / np.where(norms > 0, norms, np.nan)


def akd(landmarks_a: np.ndarray, landmarks_b: np.ndarray) -> np.ndarray:
    """Average keypoint distance: mean Euclidean distance in px over the 68 iBUG points; NaN where a face is missing."""
    a, b = (np.asarray(points, dtype=np.float64)[..., :68, :] for points in (landmarks_a, landmarks_b))
    if a.shape[-2:] != (68, 2) or b.shape[-2:] != (68, 2):
        raise BadInput(f"landmarks of shapes {a.shape} and {b.shape}, expected [...,68 or 70,2]")
    return np.linalg.norm(a - b, axis=-1).mean(-1)


def jitter(landmarks: np.ndarray) -> float:
    """Mean absolute second difference over time of consecutive landmarks [T,P,2], in px per frame squared.

    Triples of frames with a missing face (NaN) are left out; NaN when no triple is whole.
    """
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.ndim != 3 or landmarks.shape[-1] != 2:
        raise BadInput(f"landmarks of shape {landmarks.shape}, expected [T,P,2]")
    triples = np.abs(np.diff(landmarks, n=2, axis=0)).mean((1, 2)) if len(landmarks) > 2 else np.empty(0)
    whole = triples[np.isfinite(triples)]
    return float(whole.mean()) if len(whole) else float("nan")


def pose_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle of the rotation between two heads, in degrees; landmarks [N,70,3] px with depth -> float64 [N].

    The rotations are those of `fit_pose`, so expression counts little; NaN where a face is missing.
    """
    a, b = _deep(a), _deep(b)
    if a.shape != b.shape:
        raise BadInput(f"landmarks of shapes {a.shape} and {b.shape}, expected the same")
    degrees = np.full(len(a), np.nan)
    for i in np.flatnonzero(_whole(a) & _whole(b)):
        p, q = (fit_pose(Landmarks.from_array(points)).rotation for points in (a[i], b[i]))
        # |P - Q| = 2 sqrt(2) sin(angle / 2): unlike the arc cosine of the trace, exact for small angles.
        degrees[i] = np.degrees(2 * np.arcsin(min(float(np.linalg.norm(p - q)) / 8**0.5, 1.0)))
    return degrees


def expression_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean absolute difference of blendshapes [N,52] (`MediaPipeDetector.expression`), 0 to 1; NaN where one is."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or a.shape[1] != BLENDSHAPES or a.shape != b.shape:
        raise BadInput(f"blendshapes of shapes {a.shape} and {b.shape}, expected [N,{BLENDSHAPES}] both")
    return np.abs(a - b).mean(1)


def shape_leak(source: np.ndarray, results: np.ndarray, driver: np.ndarray) -> float:
    """How far the face's shape went from the source's to the driver's: 0 is the source's own, 1 the driver's.

    source [70,3], results [T,70,3], driver [T',70,3] px with depth. In the head's frame, where pose, place and size
    are gone, and over the STEADY points, which expression moves little, with s the source's shape and r and d the
    mean shapes of results and driver: <r - s, d - s> / |d - s|^2. NaN when one has no whole face or d equals s.

    It says nothing of what changes across the line from s to d, nor whether r is any face at all. The detector's
    noise in s, one picture, is in both factors and makes it a little positive; s and d much alike make it unsteady.
    """
    own = _shape(_deep(np.asarray(source)[None]))
    moved, apart = _shape(_deep(results)) - own, _shape(_deep(driver)) - own
    distance = float((apart**2).sum())
    return float((moved * apart).sum() / distance) if distance > 0 else float("nan")


def skin_tone(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Individual typology angle of the cheeks, degrees: over 41 light, under 10 dark (Chardon et al. 1991).

    image [H,W,3], landmarks [68 or 70,2]; NaN without a face. Of a photograph it measures light and camera too.
    """
    points = np.asarray(landmarks, dtype=np.float64)[..., :2]
    if not np.isfinite(points).all():
        return float("nan")
    colors, cheeks = (255 * unit(image)[0]).astype(np.uint8), np.zeros(image.shape[:2], np.uint8)
    radius = 0.06 * np.ptp(points, axis=0).max()
    for lid, jaw, lips in ((41, 2, 48), (46, 14, 54)):
        cv2.circle(cheeks, np.rint(points[[lid, jaw, lips]].mean(0)).astype(int).tolist(), max(int(radius), 1), 1, -1)
    if not cheeks.any():
        return float("nan")
    lab = cv2.cvtColor(colors.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[cheeks > 0]
    lightness, _, yellow = np.median(lab, axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def _shape(stack: np.ndarray) -> np.ndarray:
    """Mean of the STEADY points in the head's frame over whole faces [T,70,3] -> [P,3]; NaN without one."""
    faces = [Landmarks.from_array(points) for points in stack[_whole(stack)]]
    shapes = [fit_pose(face).undo(landmarks_3d(face))[STEADY] for face in faces]
    return np.mean(shapes, axis=0) if shapes else np.full((len(STEADY), 3), np.nan)


def _deep(landmarks: np.ndarray) -> np.ndarray:
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (N_POINTS, 3):
        raise BadInput(f"landmarks of shape {landmarks.shape}, expected [N,{N_POINTS},3]: pixels and depth")
    return landmarks


def _whole(landmarks: np.ndarray) -> np.ndarray:
    """Which faces [N,70,3] are there with all of their points, bool [N]."""
    return np.isfinite(landmarks).all((1, 2))
