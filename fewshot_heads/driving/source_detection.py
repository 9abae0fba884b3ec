"""Reads source images and finds the face to animate in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index as whole
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fewshot_heads.driving.quarter_turns import detect_upright
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.head import MAX_SOURCES
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.media.images import MAX_SIDE_PX, check_image, read_image

Pictures = str | Path | np.ndarray | Sequence[str | Path | np.ndarray]


class SourceFace(NamedTuple):
    """A source image with its face.

    Attributes:
        image: uint8 [H, W, 3], turned so that the face is upright.
        face: landmarks, pixels of the image.
        crop: the crop around the face, or the largest centered square.
        turns: quarter turns counterclockwise from the given image to this one, 0 to 3.
    """

    image: np.ndarray
    face: Landmarks
    crop: Crop
    turns: int = 0


def detect_sources(
    pictures: Pictures, face: int | Sequence[int], crop: str, detector: Detector, size: int
) -> list[SourceFace]:
    """Returns the source images of one person with their faces.

    Args:
        pictures: one image or K images, paths or uint8 [H, W, 3].
        face: which face of each image, or one number for each image; 0 is the largest.
        crop: "auto" puts a square around the face, "full" takes the largest centered square.
        detector: the landmark detector.
        size: side of the generator's crop, pixels.

    Raises:
        BadInput: an image cannot be read, there are too many, or the numbers of images and faces differ.
        NoFaceFound: an image does not show the face.
    """
    if isinstance(pictures, (str, Path)) or (isinstance(pictures, np.ndarray) and pictures.ndim < 4):
        pictures = [pictures]
    try:
        numbers = [*map(whole, face)] if isinstance(face, Iterable) else [whole(face)] * len(pictures)
    except TypeError as error:
        came = f"{type(pictures).__name__} and face={face!r}"
        raise BadInput(f"embed got {came}; it needs pictures, and whole numbers of faces") from error
    if not numbers or len(numbers) != len(pictures):
        raise BadInput(f"embed got {len(pictures)} pictures and {len(numbers)} faces; it needs one of each at least")
    if len(pictures) > MAX_SOURCES:
        raise BadInput(f"{len(pictures)} pictures of a person: a head has {MAX_SOURCES} at most; leave some out")
    return [
        _detect_source(picture, i, number, crop, detector, size)
        for i, (picture, number) in enumerate(zip(pictures, numbers, strict=True))
    ]


def _detect_source(
    picture: str | Path | np.ndarray, index: int, number: int, crop: str, detector: Detector, size: int
) -> SourceFace:
    """Returns one source image with face `number`; `index` names an array in messages."""
    image = read_image(picture) if isinstance(picture, (str, Path)) else picture
    name = str(picture) if isinstance(picture, (str, Path)) else f"picture {index}"
    check_image(name, image)
    image = _scaled_down(image)
    image, faces, turns = detect_upright(image, detector)
    if not faces:
        raise NoFaceFound(f"{name}: no face found; use a picture with a larger face, or landmarks=face_alignment")
    if not 0 <= number < len(faces):
        raise NoFaceFound(f"{name}: face {number} asked for, {len(faces)} found; use 0 to {len(faces) - 1}")
    height, width = image.shape[:2]
    square = Crop.full(height, width, size) if crop == "full" else Crop.around([faces[number]], size)
    return SourceFace(image, faces[number], square, turns)


def _scaled_down(image: np.ndarray) -> np.ndarray:
    """Returns an image with sides of at most `MAX_SIDE_PX`, as `read_image` gives: also a frame of an 8K video."""
    scale = MAX_SIDE_PX / max(image.shape[:2])
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
