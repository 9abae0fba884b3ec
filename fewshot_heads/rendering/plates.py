"""Clean plates of a portrait: the background without the person, and the body without the head."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.rendering.patch_fill import fill

_PERSON = 0.1  # opacity from which a pixel may show the person
_MARGIN_FRACTION = 0.02  # of the longer side: hair and its blur reach so far beyond a matte


def background_plate(image: np.ndarray, person: np.ndarray) -> np.ndarray:
    size = max(person.shape)
    margin = max(round(_MARGIN_FRACTION * size), 1)
    hidden = cv2.dilate((person > _PERSON).astype(np.uint8), _disk(margin)) > 0
    if hidden.all():
        hidden = person >= person.max()
    return np.rint(fill(image, ~hidden)).clip(0, 255).astype(np.uint8)


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
