"""Draws the moving picture of the README: the example driver beside the Mona Lisa that it moves.

python docs/figures/moving_picture.py docs/mona_lisa.webp
"""

from __future__ import annotations

import sys
from itertools import islice

import cv2
import numpy as np
from PIL import Image

from fewshot_heads import Reenactor, read_image, read_video

SOURCE, DRIVER = "examples/mona_lisa.jpg", "examples/driver.mp4"
STEP = 2  # from frame to frame
GAP = 6  # pixels between the two
QUALITY = 62  # of WebP, 0 to 100


def around(frame: np.ndarray, center: float, height: int, width: int) -> np.ndarray:
    """The part of a frame around a column, uint8 [height, width, 3]."""
    scale = height / frame.shape[0]
    whole = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left = round(np.clip(center * scale - width / 2, 0, whole.shape[1] - width))
    return whole[:height, left : left + width]


def main(out: str) -> None:
    """Writes the moving picture."""
    reenactor, driver = Reenactor.from_pretrained(), read_video(DRIVER)
    source, motion = read_image(SOURCE), reenactor.track(driver)
    (height, width), gap = source.shape[:2], np.full((source.shape[0], GAP, 3), 255, np.uint8)
    center = float(np.median([face.points[:, 0].mean() for face in motion.landmarks]))
    frames = (islice(frames, 0, None, STEP) for frames in (driver, reenactor.animate(reenactor.embed(source), motion)))
    pairs = zip(*frames, strict=True)
    first, *others = (Image.fromarray(np.hstack([around(a, center, height, width), gap, b])) for a, b in pairs)
    milliseconds = round(1000 * STEP / driver.rate)
    first.save(out, save_all=True, append_images=others, duration=milliseconds, loop=0, quality=QUALITY, method=6)


if __name__ == "__main__":
    main(sys.argv[1])
