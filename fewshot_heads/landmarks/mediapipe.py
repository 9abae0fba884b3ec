"""MediaPipe FaceLandmarker: 478 mesh points with depth, reduced to the 70 of `Landmarks` and 151 between them.

The model file ships in the package (Google, Apache-2.0; see NOTICE), so nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.mediapipe_runtime import at_exit, quiet_stderr, to_mediapipe
from fewshot_heads.landmarks.pose import mirrored

MODEL = Path(__file__).parent.parent / "weights" / "face_landmarker.task"

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
# Points of the mesh spread between those, the same on both sides: `Landmarks.surface`.
SURFACE = np.array([
    3, 6, 8, 9, 10, 21, 31, 34, 35, 36, 47, 49, 50, 54, 55, 67, 68, 69, 71, 89, 92, 101,
    103, 104, 106, 108, 109, 116, 117, 120, 123, 125, 128, 134, 135, 137, 138, 139, 140, 142, 147, 148, 149, 151,
    156, 162, 169, 170, 172, 174, 175, 177, 187, 188, 192, 194, 198, 200, 202, 203, 205, 206, 207, 208, 210, 211,
    212, 213, 214, 215, 216, 218, 221, 222, 223, 225, 227, 229, 230, 248, 251, 261, 264, 265, 266, 277, 279, 280,
    284, 285, 297, 298, 299, 301, 319, 322, 330, 332, 333, 335, 337, 338, 345, 346, 349, 352, 354, 357, 363, 364,
    366, 367, 368, 369, 371, 376, 377, 378, 383, 389, 394, 395, 397, 399, 401, 411, 412, 416, 418, 420, 422, 423,
    425, 426, 427, 428, 430, 431, 432, 433, 434, 435, 436, 438, 441, 442, 443, 445, 447, 449, 450,
])  # fmt: skip
_SEARCH_SCALES = (1.0, 0.5, 0.3)  # window side, as a share of the picture's shorter side
_REFINE_SIDE = 512  # the window around a found face is shown to the network at this size


class MediaPipeDetector:
    """Landmarks by MediaPipe; about 24 ms a picture on one core.

    The network's face finder sees faces that fill at least about a tenth of its window, so a picture
    without a hit is searched again in overlapping windows, and small faces are looked at once more close up.

    min_confidence: 0 to 1, below which a face does not count.
    flip_input: look at the mirrored picture too and take the mean, which takes twice as long. The network sees a
        mirrored face elsewhere by about a pixel of a 256-pixel crop, another one in each frame.
    max_faces: at most this many faces per window.
    """

    def __init__(self, min_confidence: float = 0.4, flip_input: bool = True, max_faces: int = 6):
        with quiet_stderr():
            from mediapipe.tasks.python import BaseOptions, vision

            def landmarker(faces: int, blendshapes: bool = False):
                return vision.FaceLandmarker.create_from_options(
                    vision.FaceLandmarkerOptions(
                        base_options=BaseOptions(model_asset_buffer=MODEL.read_bytes()),
                        num_faces=faces,
                        min_face_detection_confidence=min_confidence,
                        min_face_presence_confidence=min_confidence,
                        output_face_blendshapes=blendshapes,
                    )
                )

            self._confidence, self._flip_input = min_confidence, flip_input
            self._one, self._many = landmarker(1), landmarker(max_faces)
            self._make_expressive, self._expressive = partial(landmarker, max_faces, blendshapes=True), None
            for each in (self._one, self._many):  # the first call logs too
                self._run(each, np.zeros((64, 64, 3), np.uint8))
            at_exit(self.close)

    def close(self) -> None:
        """Gives the networks back; later calls fail."""
        for each in filter(None, (self._one, self._many, self._expressive)):
            each.close()

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        """Every face of the whole picture, the largest first; see `Detector`."""
        for scale in _SEARCH_SCALES:
            found: list[Landmarks] = []
            for left, top, right, bottom in _windows(image.shape, scale):
                for face in self._run(self._many, image[top:bottom, left:right]):
                    face = face.moved(np.array([-left, -top], np.float32))
                    if all(_apart(face, other) for other in found):
                        found.append(face)
            if found:
                found = [self._close_up(image, face) for face in found]
                return sorted(found, key=lambda face: -face.size)
        return []

    def track(self, image: np.ndarray) -> Landmarks | None:
        """The one face of a picture already cropped to a head: no search, the quickest call."""
        faces = self._run(self._one, image)
        return faces[0] if faces else None

    def expression(self, image: np.ndarray) -> np.ndarray | None:
        """The 52 blendshape scores, float32 [52] from 0 to 1, of the largest face of a head crop; None without one.

        In MediaPipe's order: `_neutral`, then ARKit's by name. Their network is made on the first call.
        """
        if self._expressive is None:
            with quiet_stderr():
                self._expressive = self._make_expressive()
                self._seen(self._expressive, np.zeros((64, 64, 3), np.uint8))
        seen = self._seen(self._expressive, image)
        if not seen.face_blendshapes:
            return None
        sizes = [face.size for face in self._landmarks(seen, image.shape)]
        return np.array([shape.score for shape in seen.face_blendshapes[int(np.argmax(sizes))]], np.float32)

    def _close_up(self, image: np.ndarray, face: Landmarks) -> Landmarks:
        if face.size > 0.3 * min(image.shape[:2]):
            return face
        import cv2

        center, half = (face.box[:2] + face.box[2:]) / 2, face.size
        left, top = np.maximum(center - half, 0).astype(int)
        right, bottom = (center + half).astype(int)
        window = image[top:bottom, left:right]
        scale = _REFINE_SIDE / max(window.shape[:2])
        window = cv2.resize(window, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        seen = self.track(window)
        return seen.moved(np.array([-left, -top], np.float32) * scale, 1 / scale) if seen else face

    def _run(self, landmarker, image: np.ndarray) -> list[Landmarks]:
        faces = self._landmarks(self._seen(landmarker, image), image.shape)
        if faces and self._flip_input:
            flipped = self._landmarks(self._seen(landmarker, image[:, ::-1]), image.shape)
            again = [mirrored(face, image.shape[1]) for face in flipped]
            faces = [_mean(face, again) for face in faces]
        return sorted(faces, key=lambda face: -face.size)

    @staticmethod
    def _seen(landmarker, image: np.ndarray):
        return landmarker.detect(to_mediapipe(image))

    def _landmarks(self, seen, shape: tuple[int, ...]) -> list[Landmarks]:
        """In MediaPipe's order."""
        height, width = shape[:2]
        faces = []
        for mesh in seen.face_landmarks:
            points = np.array([[p.x, p.y, p.z] for p in mesh], np.float32) * [width, height, width]
            # MediaPipe gives no score, only its word that the face is above the threshold.
            faces.append(Landmarks.from_array(points[np.concatenate([IBUG, SURFACE])], self._confidence))
        return faces


def _windows(shape: tuple[int, ...], scale: float) -> Iterator[tuple[int, int, int, int]]:
    """Overlapping square windows (left, top, right, bottom) that cover the picture; scale 1 is the picture itself."""
    height, width = shape[:2]
    if scale == 1.0:
        yield 0, 0, width, height
        return
    side = max(int(min(height, width) * scale), 64)
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield left, top, min(left + side, width), min(top + side, height)


def _starts(length: int, side: int) -> list[int]:
    steps = max(int(np.ceil((length - side) / (side / 2))), 0)
    return [round(i * (length - side) / steps) for i in range(steps + 1)] if steps else [0]


def _apart(a: Landmarks, b: Landmarks) -> bool:
    centers = a.points.mean(0) - b.points.mean(0)
    return bool(np.linalg.norm(centers) > 0.5 * max(a.size, b.size))


def _mean(face: Landmarks, others: list[Landmarks]) -> Landmarks:
    """Of a face and the one of the others that lies in its place; itself, where there is none."""
    other = next((other for other in others if not _apart(face, other)), face)
    return Landmarks.from_array((face.to_array() + other.to_array()) / 2, face.confidence)
