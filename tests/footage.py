"""Footage in miniature for the training tests: Mona Lisa cut at several places, and her mirror image."""

import numpy as np

from fewshot_heads import read_image
from fewshot_heads.datasets.clips import Footage
from fewshot_heads.landmarks import detector
from tests.conftest import EXAMPLES

SPEC = {"size": 128, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]}}
TABLE = {
    "l1": {"weight": 10.0, "eyes": 5.0, "mouth": 5.0, "opened": 8.0},
    "adversarial": {"weight": 0.05},
    "feature_matching": {"weight": 0.5},
}


def mona_footage(frames: int = 5, size: int = 128, kind: str = "video") -> list[Footage]:
    """Two people of a few frames each."""
    import cv2

    mona, finder, clips = read_image(EXAMPLES / "mona_lisa.jpg"), detector("mediapipe"), []
    for name, image in (("mirrored", np.ascontiguousarray(mona[:, ::-1])), ("mona", mona)):
        pictures, landmarks = [], []
        for i in range(frames):
            top, left = 20 + 7 * i, 20 + 11 * (i % 3)
            picture = cv2.resize(image[top : top + 240, left : left + 240], (size, size), interpolation=cv2.INTER_AREA)
            face = finder.track(picture)
            pictures.append(picture)
            landmarks.append(face.to_array())
        clips.append(Footage(name, np.array(pictures), np.array(landmarks, np.float32), kind))
    return clips
