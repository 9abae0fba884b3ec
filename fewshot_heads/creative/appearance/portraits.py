"""Selects one frontal portrait of each person in prepared data, with mattes of person and hair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from fewshot_heads.datasets.shards import ShardClip, open_shards
from fewshot_heads.features.segmenters import Segmenter
from fewshot_heads.landmarks import LEFT_EYE, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.layers.parsing import person_matte

_MAX_TURN_DEGREES = 16.0
_MAX_MOUTH_ASPECT_RATIO = 0.12  # gap of the lips over the mouth's width; above it a mouth is open
_MIN_EYE_ASPECT_RATIO = 0.15  # height over width; below it an eye is closed
_CALM_EYE_ASPECT_RATIO = 0.28  # an eye open this far counts as calm
_MIN_SHARPNESS = 100.0  # variance of the Laplacian over the face, levels of 255
_MIN_COLOR_LEVELS = 4.0  # mean distance of the face from gray, levels of 255; less is a black-and-white picture
_MAX_TOP_EDGE_FRACTION = 0.2  # a person who covers more of the upper edge has hair cut off there
_FRAME_STEP = 3  # one frame in three of a clip is a candidate
_CALM_FRAMES = 60  # calmest candidates of a person
_SHARPNESS_FRAMES = 6  # of those, evenly spread, whose sharpness is measured


class PortraitFrame(NamedTuple):
    """One frontal picture of a person.

    Attributes:
        name: the person's identity.
        picture: uint8 [S, S, 3], RGB.
        landmarks: the face, pixels of the picture.
        person: float32 [S, S], share of each pixel that is person, 0 to 1.
        hair: float32 [S, S], share of each pixel that is hair, 0 to 1.
    """

    name: str
    picture: np.ndarray
    landmarks: Landmarks
    person: np.ndarray
    hair: np.ndarray


def select_portraits(prepared: Sequence[str], matte: bool = False, hair: Path | None = None) -> list[PortraitFrame]:
    """Returns a calm, sharp, frontal picture of each person of the training split who has one.

    Args:
        prepared: folders that `python -m fewshot_heads.prepare` wrote.
        matte: whether the background is removed; otherwise the whole picture is person.
        hair: MediaPipe's hair_segmentation.tflite; None finds no hair.

    Raises:
        BadInput: a folder holds no prepared data, or the file is no network.
    """
    clips_by_person: dict[str, list[ShardClip]] = {}
    for root in prepared:
        for clip in open_shards(root, "train"):
            clips_by_person.setdefault(clip.identity, []).append(clip)
    segmenter = Segmenter(hair) if hair else None
    portraits = []
    for name, clips in tqdm(clips_by_person.items(), "people", disable=None, unit="person"):
        if best := _best_frame(clips):
            picture, face = best
            shape = picture.shape[:2]
            person_share = person_matte(picture) if matte else np.ones(shape, np.float32)
            hair_share = segmenter.matte(picture) if segmenter else np.zeros(shape, np.float32)
            if not matte or (person_share[0] > 0.5).mean() < _MAX_TOP_EDGE_FRACTION:
                portraits.append(PortraitFrame(name, picture, face, person_share, hair_share * person_share))
    return portraits


def _best_frame(clips: Iterable[ShardClip]) -> tuple[np.ndarray, Landmarks] | None:
    """Returns the sharpest of a person's calmest frames; None without a calm and sharp one."""
    candidates: list[tuple[float, int, ShardClip, int, Landmarks]] = []
    for clip in clips:
        for number in range(0, clip.frame_count, _FRAME_STEP):
            landmarks = Landmarks.from_array(clip.landmarks[number])
            face = CanonicalFace.of(landmarks)
            turn = np.degrees(np.arccos(np.clip(face.pose.rotation[2, 2], -1, 1)))
            mouth, eyes = face.mouth_opening(), min(face.eye_opening(LEFT_EYE), face.eye_opening(RIGHT_EYE))
            if turn < _MAX_TURN_DEGREES and mouth < _MAX_MOUTH_ASPECT_RATIO and eyes > _MIN_EYE_ASPECT_RATIO:
                unrest = turn / 10 + 8 * max(mouth, 0) + 15 * max(_CALM_EYE_ASPECT_RATIO - eyes, 0)
                candidates.append((unrest, len(candidates), clip, number, landmarks))
    candidates.sort(key=lambda candidate: candidate[:2])
    calmest = candidates[:_CALM_FRAMES]
    measured: list[tuple[float, int, np.ndarray, Landmarks]] = []
    for _, _, clip, number, landmarks in calmest[:: max(len(calmest) // _SHARPNESS_FRAMES, 1)]:
        picture = clip.frames[number]
        left, top, right, bottom = np.clip(landmarks.box, 0, clip.size).astype(int)
        crop = picture[top:bottom, left:right]
        if np.abs(crop - crop.mean(-1, keepdims=True)).mean() > _MIN_COLOR_LEVELS:
            sharpness = float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())
            measured.append((sharpness, len(measured), picture, landmarks))
    sharpest = max(measured, default=None, key=lambda entry: entry[:2])
    return (sharpest[2], sharpest[3]) if sharpest and sharpest[0] > _MIN_SHARPNESS else None
