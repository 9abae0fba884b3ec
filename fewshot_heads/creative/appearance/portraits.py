"""Who of prepared data sits well for a portrait: one picture each, and what in it is person and hair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from fewshot_heads.datasets.shards import ShardClip, open_shards
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import LEFT_EYE, RIGHT_EYE, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace

_FRONTAL, _CLOSED, _OPEN = 16.0, 0.12, 0.15  # degrees; of the mouth's width; of the eye's: who does not sit well
_SHARP, _COLORFUL = 100.0, 4.0  # variance of the Laplacian over the face; its mean distance from gray, levels of 255
_CUT = 0.2  # of the upper edge: who covers more of it has lost hair there
_EVERY = 3  # frames of a clip, one of which is considered
_CALM, _LOOKS = 60, 6  # the calmest considered; how many of those, spread, are looked at for their sharpness


class PortraitFrame(NamedTuple):
    """picture: uint8 [S, S, 3]; person, hair: how much of each place belongs to them, float32 [S, S], 0 to 1."""

    name: str
    picture: np.ndarray
    landmarks: Landmarks
    person: np.ndarray
    hair: np.ndarray


def select_portraits(
    prepared: Sequence[str], matte: Path | None = None, hair: Path | None = None
) -> list[PortraitFrame]:
    """One picture for each person of the training split who looks ahead, calm and sharp. Raises BadInput."""
    clips: dict[str, list[ShardClip]] = {}
    for root in prepared:
        for clip in open_shards(root, "train"):
            clips.setdefault(clip.identity, []).append(clip)
    person, head = (Segmenter(path) if path else None for path in (matte, hair))
    result = []
    for name, own in tqdm(clips.items(), "people", disable=None, unit="person"):
        if chosen := _best(own):
            picture, face = chosen
            there = person(picture) if person else np.ones(picture.shape[:2], np.float32)
            covered = head(picture) if head else np.zeros(picture.shape[:2], np.float32)
            if not person or (there[0] > 0.5).mean() < _CUT:
                result.append(PortraitFrame(name, picture, face, there, covered * there))
    return result


def _best(clips: Iterable[ShardClip]) -> tuple[np.ndarray, Landmarks] | None:
    """The sharpest of the calmest frames; None if the person never sits well."""
    found: list[tuple[float, int, ShardClip, int, Landmarks]] = []
    for clip in clips:
        for number in range(0, clip.frame_count, _EVERY):
            landmarks = Landmarks.from_array(clip.landmarks[number])
            face = CanonicalFace.of(landmarks)
            turn = np.degrees(np.arccos(np.clip(face.pose.rotation[2, 2], -1, 1)))
            gap, eyes = face.mouth_opening(), min(face.eye_opening(LEFT_EYE), face.eye_opening(RIGHT_EYE))
            if turn < _FRONTAL and gap < _CLOSED and eyes > _OPEN:
                unrest = turn / 10 + 8 * max(gap, 0) + 15 * max(0.28 - eyes, 0)
                found.append((unrest, len(found), clip, number, landmarks))
    found.sort(key=lambda each: each[:2])
    seen: list[tuple[float, int, np.ndarray, Landmarks]] = []
    calm = found[:_CALM]
    for _, _, clip, number, landmarks in calm[:: max(len(calm) // _LOOKS, 1)]:
        picture = clip.frames[number]
        left, top, right, bottom = np.clip(landmarks.box, 0, clip.size).astype(int)
        close = picture[top:bottom, left:right]
        if np.abs(close - close.mean(-1, keepdims=True)).mean() > _COLORFUL:
            sharpness = float(cv2.Laplacian(cv2.cvtColor(close, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())
            seen.append((sharpness, len(seen), picture, landmarks))
    sharpest = max(seen, default=None, key=lambda each: each[:2])
    return (sharpest[2], sharpest[3]) if sharpest and sharpest[0] > _SHARP else None


class Segmenter:
    """MediaPipe's selfie or hair network; it needs `ai-edge-litert` from PyPI."""

    def __init__(self, path: Path):
        try:
            from ai_edge_litert.interpreter import Interpreter

            self._net = Interpreter(str(path), num_threads=1)
        except ImportError as error:
            raise BadInput("a matte needs the package ai-edge-litert; pip install ai-edge-litert") from error
        except (OSError, ValueError) as error:
            raise BadInput(f"{path}: not a network of TensorFlow Lite; check the path") from error
        self._net.allocate_tensors()
        self._input, self._output = self._net.get_input_details()[0], self._net.get_output_details()[0]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """uint8 [S, S, 3] to float32 [S, S], 0 to 1."""
        side, channels = self._input["shape"][2:]
        seen = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
        mask = np.zeros((side, side), np.float32)
        for _ in range(channels - 2):  # the hair network is shown its own answer as a fourth channel
            self._net.set_tensor(self._input["index"], np.dstack([seen, mask])[None, ..., :channels])
            self._net.invoke()
            answer = self._net.get_tensor(self._output["index"])[0]
            # One channel is the share of the person, two are logits of background and hair.
            mask = answer[..., 0] if answer.shape[-1] == 1 else 1 / (1 + np.exp(answer[..., 0] - answer[..., 1]))
        return cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
