"""Draws a sheet of expressions: a row for each picture. The columns laugh, speak, and are surprised, angry and winking.

python docs/figures/expression_sheet.py docs/expressions.jpg PICTURE [PICTURE ...]

The first two follow frames of the example driver, the others are edits.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

from fewshot_heads import Reenactor, read_image
from fewshot_heads.driving.reference import smile_score
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.head import Head
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.landmarks import LEFT_EYE
from fewshot_heads.landmarks.canonical_face import CanonicalFace

DRIVER = "examples/driver.mp4"
SURPRISED = {"mouth": 0.6, "brows": 1.0, "eyes": 1.0}
ANGRY = {"brows": -1.0, "eyes": -0.4, "pucker": 0.3, "pitch": -6}
WINKING = {"wink_left": 1.0, "smile": 0.5, "roll": 6}
TILE = 288  # pixels


def chosen_frames(motion: Motion) -> list[int]:
    """The frames in which the driver laughs most, with open eyes, and opens the mouth most."""
    faces = [CanonicalFace.of(face) for face in motion.landmarks]
    eyes = np.array([face.eye_opening(LEFT_EYE) for face in faces])
    smiles = np.array([smile_score(face.shape) for face in faces])
    mouths = [face.mouth_opening() - face.mouth_width() for face in faces]  # a laugh is wide
    return [int(np.argmax(np.where(eyes > np.median(eyes), smiles, -np.inf))), int(np.argmax(mouths))]


def row(reenactor: Reenactor, head: Head, motion: Motion) -> list[np.ndarray]:
    """The source and its expressions, uint8 [TILE, TILE, 3] each."""
    frames = list(reenactor.animate(head, motion, paste_back=True))
    pictures = [head.as_given(head.picture), *(frames[i] for i in chosen_frames(motion))]
    pictures += [reenactor.edit(head, **controls) for controls in (SURPRISED, ANGRY, WINKING)]
    crop, (height, width) = head.crop, head.picture.shape[:2]
    top, left = max(round(crop.top), 0), max(round(crop.left), 0)
    bottom, right = (min(round(start + crop.side), end) for start, end in ((crop.top, height), (crop.left, width)))
    side = min(bottom - top, right - left)
    parts = [picture[top : top + side, left : left + side] for picture in pictures]
    return [cv2.resize(part, (TILE, TILE), interpolation=cv2.INTER_AREA) for part in parts]


def main() -> None:
    output, *pictures = sys.argv[1:]
    reenactor = Reenactor.from_pretrained()
    motion = reenactor.track(DRIVER)
    sheet = image_grid([row(reenactor, reenactor.embed([read_image(picture)]), motion) for picture in pictures])
    cv2.imwrite(output, sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
