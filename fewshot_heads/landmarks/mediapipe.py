"""MediaPipe's Face Landmarker: 478 mesh points, reduced to 70 landmarks and 151 surface points.

A face is found by `FaceDetector` and measured by `FaceMesh`, as in MediaPipe's own graphs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fewshot_heads.landmarks import RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.face_detector import FaceDetector
from fewshot_heads.landmarks.face_mesh import FaceMesh, blendshapes, square_around
from fewshot_heads.landmarks.pose import mirrored
from fewshot_heads.landmarks.turned_square import TurnedSquare

# iBUG-68 as indices of the 478-point mesh, then the irises.
IBUG = np.array(
    [127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356]  # jaw
    + [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]  # brows
    + [168, 197, 5, 4, 98, 97, 2, 326, 327]  # nose
    + [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]  # eyes
    + [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181]  # outer lips
    + [78, 82, 13, 312, 308, 317, 14, 87]  # inner lips
    + [468, 473]  # irises
)
# Mesh points of `Landmarks.surface`: they spread between the landmarks, symmetric to the left and the right.
SURFACE = np.array([
    3, 6, 8, 9, 10, 21, 31, 34, 35, 36, 47, 49, 50, 54, 55, 67, 68, 69, 71, 89, 92, 101,
    103, 104, 106, 108, 109, 116, 117, 120, 123, 125, 128, 134, 135, 137, 138, 139, 140, 142, 147, 148, 149, 151,
    156, 162, 169, 170, 172, 174, 175, 177, 187, 188, 192, 194, 198, 200, 202, 203, 205, 206, 207, 208, 210, 211,
    212, 213, 214, 215, 216, 218, 221, 222, 223, 225, 227, 229, 230, 248, 251, 261, 264, 265, 266, 277, 279, 280,
    284, 285, 297, 298, 299, 301, 319, 322, 330, 332, 333, 335, 337, 338, 345, 346, 349, 352, 354, 357, 363, 364,
    366, 367, 368, 369, 371, 376, 377, 378, 383, 389, 394, 395, 397, 399, 401, 411, 412, 416, 418, 420, 422, 423,
    425, 426, 427, 428, 430, 431, 432, 433, 434, 435, 436, 438, 441, 442, 443, 445, 447, 449, 450,
])  # fmt: skip
_SEARCH_SCALES = (1.0, 0.5, 0.3)  # window side over the image's shorter side, tried in turn until a face is found
_MIN_WINDOW_PIXELS = 64
_MAX_MOVE = 0.2  # from frame to frame, in sides of the square around a face; a mesh farther away is doubtful
_LEFT_EYE_CORNER = 45  # the outer one, as the first point of the right eye
_SAME_FACE_RATIO = 0.5  # distance of two faces over the larger face's size, up to which both are one face


class MediaPipeDetector:
    """Landmarks from MediaPipe's networks, about 8 ms a frame on one core. Threads may share a detector.

    The detector finds faces that fill at least about a tenth of its window. An image without a hit is searched again in
    overlapping windows.

    Args:
        min_confidence: least confidence of a face, 0 to 1.
        flip_input: whether to average with the landmarks of the mirrored image, which doubles the time. The landmarks
            of a mirrored face differ by about a pixel of a 256-pixel crop, and the difference changes in each frame.
        max_faces: maximum number of faces in a window.
    """

    def __init__(self, min_confidence: float = 0.4, flip_input: bool = True, max_faces: int = 6) -> None:
        self._find_faces, self._find_mesh = FaceDetector(min_confidence), FaceMesh()
        self._min_confidence, self._flip_input, self._max_faces = min_confidence, flip_input, max_faces

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        """Returns every face of an image, the largest first.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        for scale in _SEARCH_SCALES:
            found: list[Landmarks] = []
            for left, top, right, bottom in _windows(image.shape, scale):
                for face in self._landmarks(image[top:bottom, left:right], self._max_faces):
                    face = face.moved(np.array([-left, -top], np.float32))
                    if all(_are_apart(face, other) for other in found):
                        found.append(face)
            if found:
                return sorted(found, key=lambda face: -face.size)
        return []

    def glance(self, image: np.ndarray) -> Landmarks | None:
        """Returns about where the face is in an image that is already cut to a head, or None. It is no search.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        return next((_to_landmarks(*face) for face in self._seen(image, 1)), None)

    def follow(self, image: np.ndarray, last: Landmarks) -> Landmarks | None:
        """Returns a face near its last position, or None, as exactly as `detect` and much faster.

        Args:
            image: uint8 RGB [H, W, 3].
            last: the face in the frame before, or from `glance`, pixels.
        """
        square = _square_of(last)
        face = self._measured(image, square)
        return None if face is None or _square_of(face).differs(square, _MAX_MOVE) else face

    def expression(self, image: np.ndarray) -> np.ndarray | None:
        """Returns the blendshape scores of the largest face, or None without a face.

        The scores are those of MediaPipe itself, in its order: `_neutral`, then ARKit's blendshapes by name. The first
        call loads the network.

        Args:
            image: uint8 RGB [H, W, 3], cut to a head.

        Returns:
            float32 [52], 0 to 1.
        """
        meshes = [mesh for mesh, _ in self._seen(image, self._max_faces)]
        return blendshapes(max(meshes, key=lambda mesh: _to_landmarks(mesh).size)) if meshes else None

    def _seen(self, image: np.ndarray, max_faces: int) -> list[tuple[np.ndarray, float]]:
        """Returns mesh and confidence of each face, as the network sees them in the squares of the face detector."""
        found = [self._find_mesh.run(image, square) for square in self._find_faces(image, max_faces)]
        return [(mesh, confidence) for mesh, confidence in found if confidence > self._min_confidence]

    def _landmarks(self, image: np.ndarray, max_faces: int) -> list[Landmarks]:
        """Returns the faces of an image, the largest first."""
        faces = (self._measured(image, square) for square in self._find_faces(image, max_faces))
        return sorted(filter(None, faces), key=lambda face: -face.size)

    def _measured(self, image: np.ndarray, square: TurnedSquare) -> Landmarks | None:
        """Returns the face in a square with `flip_input` applied, or None."""
        mesh, confidence = self._find_mesh(image, square)
        if confidence <= self._min_confidence:
            return None
        face = _to_landmarks(mesh, confidence)
        if self._flip_input:
            width = image.shape[1]
            mesh, confidence = self._find_mesh(image, _square_of(mirrored(face, width), True), True)
            if confidence > self._min_confidence:
                other = mirrored(_to_landmarks(mesh), width)
                return Landmarks.from_array((face.to_array() + other.to_array()) / 2, face.confidence)
        return face


def _to_landmarks(mesh: np.ndarray, confidence: float = 1.0) -> Landmarks:
    """Returns the landmarks of a mesh [478, 3]."""
    return Landmarks.from_array(mesh[np.concatenate([IBUG, SURFACE])], confidence)


def _square_of(face: Landmarks, mirrored: bool = False) -> TurnedSquare:
    """Returns the square in which the network sees a face, which may be that of the mirrored image."""
    return square_around(face.to_array(), RIGHT_EYE.start, _LEFT_EYE_CORNER, mirrored)


def _windows(shape: tuple[int, ...], scale: float) -> Iterator[tuple[int, int, int, int]]:
    """Yields overlapping square windows that cover an image: left, top, right, bottom, pixels.

    Args:
        shape: height and width of the image, pixels, and any further sizes.
        scale: side of a window over the image's shorter side. 1 yields the image itself.
    """
    height, width = shape[:2]
    if scale == 1.0:
        yield 0, 0, width, height
        return
    side = max(int(min(height, width) * scale), _MIN_WINDOW_PIXELS)
    for top in _window_starts(height, side):
        for left in _window_starts(width, side):
            yield left, top, min(left + side, width), min(top + side, height)


def _window_starts(length: int, side: int) -> list[int]:
    """Returns where windows start that cover a length and overlap by at least half, pixels."""
    steps = max(int(np.ceil((length - side) / (side / 2))), 0)
    return [round(i * (length - side) / steps) for i in range(steps + 1)] if steps else [0]


def _are_apart(a: Landmarks, b: Landmarks) -> bool:
    """Returns whether two faces are different ones of the image."""
    displacement = a.points.mean(0) - b.points.mean(0)
    return bool(np.linalg.norm(displacement) > _SAME_FACE_RATIO * max(a.size, b.size))
