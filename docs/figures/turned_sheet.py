"""Draws a sheet of heads that turn: a row for each picture, a column for each pose.

python docs/figures/turned_sheet.py docs/turned_portraits.jpg PICTURE [PICTURE ...]
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

from fewshot_heads import Reenactor, read_image
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.head import Head
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import NECK, Pose, fit_pose, landmarks_3d

POSES = [(0, -40, 0), (0, -20, 0), (0, 0, 0), (0, 20, 0), (0, 40, 0), (-18, 0, 0), (18, 0, 0), (8, 20, 15)]  # degrees
TILE = 256  # pixels


def turned(face: Landmarks, degrees: tuple[float, float, float]) -> Landmarks:
    """The face, turned about the neck by pitch, yaw and roll."""
    pose = fit_pose(face)
    rotation = cv2.Rodrigues(np.radians(degrees))[0] @ pose.rotation
    neck = pose.apply(NECK)[0]
    moved = Pose(rotation, neck - pose.scale * rotation @ NECK[0], pose.scale)
    return Landmarks.from_array(moved.apply(pose.undo(landmarks_3d(face))))


def row(reenactor: Reenactor, head: Head) -> list[np.ndarray]:
    """The source and its poses, uint8 [TILE, TILE, 3] each."""
    faces = [turned(head.landmarks[0], pose) for pose in POSES]
    motion = Motion(faces, [], [(0, len(faces))], (reenactor.size,) * 2)
    frames = reenactor.animate(head, motion, "absolute", paste_back=False, crop="full", mouth="inpainted")
    return [cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA) for image in (head.textures[0], *frames)]


def main() -> None:
    output, *pictures = sys.argv[1:]
    reenactor = Reenactor.from_pretrained()
    sheet = image_grid([row(reenactor, reenactor.embed([read_image(picture)])) for picture in pictures])
    cv2.imwrite(output, sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
