"""How blurred the image of a face is."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.imaging.resizing import resized
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop

_FACE_PIXELS = 256  # side of the face's square, at which the blur is measured
_REBLUR_PIXELS = 3.0  # a smaller reblur underestimates strong blur: 4.5 where 10 pixels are true; this one finds 7.5
_EDGE_FRACTION = 0.03  # of the pixels, those with the steepest gradients
_MAX_RATIO_ERROR = 1e-4  # keeps an image without edges from dividing by zero


def blur_radius(image: np.ndarray, face: Landmarks) -> float:
    """Returns the standard deviation of the blur of a face, over the face's size.

    Edges that are blurred once more lose less contrast, the more they were blurred before: Zhuo and Sim, "Defocus map
    estimation from a single image", Pattern Recognition 2011.

    Args:
        image: uint8 RGB [H, W, 3].
        face: landmarks, image pixels.
    """
    (left, top), size = np.round((face.box[:2] + face.box[2:] - face.size) / 2).tolist(), max(round(face.size), 2)
    square = Crop(left, top, float(size), size).cut(image)  # cut first: to shrink all of a large image takes longer
    gray = cv2.cvtColor(resized(square, _FACE_PIXELS), cv2.COLOR_RGB2GRAY).astype(np.float32)
    steepness, reblurred = _steepness(gray), _steepness(cv2.GaussianBlur(gray, (0, 0), _REBLUR_PIXELS))
    steepest = int(_EDGE_FRACTION * steepness.size)
    edges = steepness >= np.partition(steepness, -steepest, axis=None)[-steepest]  # np.quantile takes ten times as long
    ratio = float(np.median(steepness[edges] / np.maximum(reblurred[edges], 1e-3)))
    return _REBLUR_PIXELS / float(np.sqrt(max(ratio**2 - 1, _MAX_RATIO_ERROR))) / _FACE_PIXELS


def _steepness(gray: np.ndarray) -> np.ndarray:
    """Returns the length of the gradient, float32 [H, W]."""
    return cv2.magnitude(cv2.Sobel(gray, -1, 1, 0), cv2.Sobel(gray, -1, 0, 1))
