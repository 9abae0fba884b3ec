"""Measures of faces: identity, landmarks, pose, shape and skin tone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.features.face_embedders import Embedder, embedder
from fewshot_heads.imaging.convert import unit
from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.landmarks.pose import fit_pose, landmarks_3d

EMBEDDING_DIM = 128
# Points that expression moves little: sides of the jaw, nose and eye corners.
STEADY_POINTS = np.array([*range(6), *range(11, 17), *range(27, 36), 36, 39, 42, 45])
# For each cheek: points of lower eyelid, jaw and mouth corner. Their mean is the center of the cheek.
CHEEK_POINTS = ((41, 2, 48), (46, 14, 54))
CHEEK_RADIUS_FACE_SIDES = 0.06  # in larger sides of the face box


class Identity:
    """Embeds the face of each image. `csim` compares embeddings.

    Attributes:
        embedder: the face-recognition network.
        name: of the network.
    """

    def __init__(self, network: str | Path | Embedder) -> None:
        """Loads the network.

        Args:
            network: "dlib", a file with the state dict of MobileFaceNet, or any `Embedder`.

        Raises:
            BadInput: if the package or the file cannot be used.
        """
        self.embedder: Embedder = embedder(network) if isinstance(network, str | Path) else network
        self.name = self.embedder.name

    def __call__(self, images: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Returns the embeddings, float64 [N, 128]. A face with NaN landmarks gets NaN.

        Args:
            images: RGB [N, H, W, 3], uint8 or float from 0 to 1.
            landmarks: [N, 68 or 70, 2 or more], pixels.

        Raises:
            BadInput: if the landmarks do not fit the images.
        """
        scaled, landmarks = unit(images), np.asarray(landmarks)
        if landmarks.ndim != 3 or len(landmarks) != len(scaled) or landmarks.shape[1] < 68 or landmarks.shape[2] < 2:
            raise BadInput(f"landmarks of shape {landmarks.shape} for {len(scaled)} images, expected [N,68 or 70,2]")
        embeddings = np.full((len(scaled), EMBEDDING_DIM), np.nan)
        points = landmarks[..., :2]
        with_face = np.flatnonzero(np.isfinite(points).all((1, 2)))
        if len(with_face):
            embeddings[with_face] = self.embedder.embed(scaled[with_face], points[with_face])
        return embeddings


def csim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the cosine similarity of embeddings, float64 [...].

    The result is NaN where an embedding is NaN or zero.

    Args:
        a: [..., D].
        b: [..., D], of the same shape or broadcast.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return (a * b).sum(-1) / np.where(norms > 0, norms, np.nan)


def akd(landmarks_a: np.ndarray, landmarks_b: np.ndarray) -> np.ndarray:
    """Returns the average keypoint distance, pixels, float64 [...]. NaN where a face is missing.

    The distance is the mean Euclidean distance over the 68 iBUG points. The pupils do not count.

    Args:
        landmarks_a: [..., 68 or 70, 2], pixels.
        landmarks_b: [..., 68 or 70, 2], pixels.

    Raises:
        BadInput: if the landmarks have another shape.
    """
    a, b = (np.asarray(points, dtype=np.float64)[..., :68, :] for points in (landmarks_a, landmarks_b))
    if a.shape[-2:] != (68, 2) or b.shape[-2:] != (68, 2):
        raise BadInput(f"landmarks of shapes {a.shape} and {b.shape}, expected [...,68 or 70,2]")
    return np.linalg.norm(a - b, axis=-1).mean(-1)


def jitter(landmarks: np.ndarray) -> float:
    """Returns the mean absolute second difference of landmarks over time, pixels per frame squared.

    Three consecutive frames give one difference. Frames without a face are left out. The result is NaN if no three
    consecutive frames have a face.

    Args:
        landmarks: [T, P, 2], pixels.

    Raises:
        BadInput: if the landmarks have another shape.
    """
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.ndim != 3 or landmarks.shape[-1] != 2:
        raise BadInput(f"landmarks of shape {landmarks.shape}, expected [T,P,2]")
    changes = np.abs(np.diff(landmarks, n=2, axis=0)).mean((1, 2)) if len(landmarks) > 2 else np.empty(0)
    finite = changes[np.isfinite(changes)]
    return float(finite.mean()) if len(finite) else float("nan")


def pose_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the angle of the rotation between two heads, degrees, float64 [N].

    The rotations come from `fit_pose`, so expression has little influence. The result is NaN where a face is missing.

    Args:
        a: landmarks [N, 70, 3], pixels and depth.
        b: landmarks [N, 70, 3], pixels and depth.

    Raises:
        BadInput: if the landmarks have another shape.
    """
    a, b = _with_depth(a), _with_depth(b)
    if a.shape != b.shape:
        raise BadInput(f"landmarks of shapes {a.shape} and {b.shape}, expected the same")
    degrees = np.full(len(a), np.nan)
    for i in np.flatnonzero(_complete(a) & _complete(b)):
        p, q = (fit_pose(Landmarks.from_array(points)).rotation for points in (a[i], b[i]))
        # |P - Q| = 2 sqrt(2) sin(angle / 2). The arc cosine of the trace would be inexact for small angles.
        degrees[i] = np.degrees(2 * np.arcsin(min(float(np.linalg.norm(p - q)) / 8**0.5, 1.0)))
    return degrees


def shape_leak(source: np.ndarray, results: np.ndarray, driver: np.ndarray) -> float:
    """Returns how far a face's shape moved from the source (0) to the driver (1).

    Let s be the shape of the source, and r and d the mean shapes of results and driver. The result is
    <r - s, d - s> / |d - s|^2. Shapes are STEADY_POINTS in the coordinates of the head, so pose, position and size have
    no influence. The result is NaN if an input has no complete face, or d equals s.

    The measure ignores changes across the line from s to d. Noise of the detector in s is in both factors, which makes
    the result slightly positive. If s and d are similar, the result is unstable.

    Args:
        source: landmarks [70, 3], pixels and depth.
        results: landmarks [T, 70, 3], pixels and depth.
        driver: landmarks [T', 70, 3], pixels and depth.

    Raises:
        BadInput: if the landmarks have another shape.
    """
    source_shape = _mean_shape(_with_depth(np.asarray(source)[None]))
    result_change = _mean_shape(_with_depth(results)) - source_shape
    driver_change = _mean_shape(_with_depth(driver)) - source_shape
    squared_distance = float((driver_change**2).sum())
    return float((result_change * driver_change).sum() / squared_distance) if squared_distance > 0 else float("nan")


def skin_tone(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Returns the individual typology angle of the cheeks, degrees.

    Skin above 41 degrees is light, below 10 dark. The angle of a photograph also depends on light and camera. The
    result is NaN without a face.

    Source: Chardon et al. 1991.

    Args:
        image: RGB [H, W, 3], uint8 or float from 0 to 1.
        landmarks: [68 or 70, 2], pixels.
    """
    points = np.asarray(landmarks, dtype=np.float64)[..., :2]
    if not np.isfinite(points).all():
        return float("nan")
    colors, cheeks = (255 * unit(image)[0]).astype(np.uint8), np.zeros(image.shape[:2], np.uint8)
    radius = max(int(CHEEK_RADIUS_FACE_SIDES * np.ptp(points, axis=0).max()), 1)
    for corners in CHEEK_POINTS:
        center = np.rint(points[list(corners)].mean(0)).astype(int).tolist()
        cv2.circle(cheeks, center, radius, 1, -1)
    if not cheeks.any():
        return float("nan")
    lab = cv2.cvtColor(colors.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[cheeks > 0]
    lightness, _, yellow = np.median(lab, axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def _mean_shape(stack: np.ndarray) -> np.ndarray:
    """Returns the mean of STEADY_POINTS over faces [T, 70, 3], head coordinates [P, 3].

    Incomplete faces are left out. The result is NaN if no face is left.
    """
    faces = [Landmarks.from_array(points) for points in stack[_complete(stack)]]
    shapes = [fit_pose(face).undo(landmarks_3d(face))[STEADY_POINTS] for face in faces]
    return np.mean(shapes, axis=0) if shapes else np.full((len(STEADY_POINTS), 3), np.nan)


def _with_depth(landmarks: np.ndarray) -> np.ndarray:
    """Returns landmarks as float64 [N, 70, 3], or raises BadInput for another shape."""
    landmarks = np.asarray(landmarks, dtype=np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (N_POINTS, 3):
        raise BadInput(f"landmarks of shape {landmarks.shape}, expected [N,{N_POINTS},3]: pixels and depth")
    return landmarks


def _complete(landmarks: np.ndarray) -> np.ndarray:
    """Returns which faces [N, 70, 3] have all of their points, bool [N]."""
    return np.isfinite(landmarks).all((1, 2))
