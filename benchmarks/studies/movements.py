"""The movements of a face that go with the scores of MediaPipe's blendshapes, learned from real faces."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fewshot_heads import read_image, read_video
from fewshot_heads.landmarks import LEFT_EYE, LEFT_IRIS, MIRROR, N_POINTS, RIGHT_EYE, RIGHT_IRIS
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.mediapipe import MediaPipeDetector
from fewshot_heads.landmarks.pose import MEAN_HEAD, MEAN_SURFACE, RIGID, SURFACE_MIRROR
from fewshot_heads.metrics.expression import BLENDSHAPES

_MIN_FRONTAL_COSINE = np.cos(np.radians(25))  # in farther turned faces, errors of depth look like expressions
_MAX_YAW_DEGREES = 30  # of people's pictures
_RIDGE = 0.01  # of the regression
_FACE = np.vstack([MEAN_HEAD, MEAN_SURFACE])
_MIRROR = np.concatenate([MIRROR, N_POINTS + SURFACE_MIRROR])
# Movements, as the scores whose mean they are.
_MOVEMENTS = {
    "smile": ("mouthSmile",), "jaw": ("jawOpen",), "pucker": ("mouthPucker",), "upper_up": ("mouthUpperUp",),
    "lower_down": ("mouthLowerDown",), "close": ("mouthClose",), "stretch": ("mouthStretch",),
    "press": ("mouthPress",), "roll_lower": ("mouthRollLower",), "roll_upper": ("mouthRollUpper",),
    "funnel": ("mouthFunnel",), "shrug": ("mouthShrugLower",), "dimple": ("mouthDimple",), "frown": ("mouthFrown",),
    "brow_inner": ("browInnerUp",), "brow_outer": ("browOuterUp",), "brow_down": ("browDown",),
    "squint": ("eyeSquint",), "blink": ("eyeBlink",), "down": ("eyeLookDown",), "up": ("eyeLookUp",),
    "wide": ("eyeWide",),
}  # fmt: skip
LOWER_FACE = tuple(list(_MOVEMENTS)[:14])


class Observed(NamedTuple):
    """Faces of real people.

    Attributes:
        recordings: [N], a number for the clip or the recording.
        shapes: [N, 221, 3], head units.
        scores: [N, 52].
    """

    recordings: np.ndarray
    shapes: np.ndarray
    scores: np.ndarray


def scores_of(*starts: str) -> list[int]:
    """Returns the indices of the scores whose names start so."""
    return [i for i, name in enumerate(BLENDSHAPES) if name.startswith(starts)] if starts else []


def observe(images: Iterator[tuple[str, np.ndarray]], detector: MediaPipeDetector) -> Observed:
    """Returns shape and scores of each face that looks ahead.

    Args:
        images: name of the recording, and uint8 [H, W, 3] cut to a head.
        detector: of landmarks and scores.
    """
    names, shapes, scores = [], [], []
    for name, image in tqdm(images, "faces", disable=None):
        found, landmarks = detector.expression(image), next(iter(detector.detect(image)), None)
        if found is None or landmarks is None:
            continue
        face = CanonicalFace.of(landmarks)
        if face.pose.rotation[2, 2] > _MIN_FRONTAL_COSINE:
            names.append(name)
            shapes.append(face.shape)
            scores.append(found)
    return Observed(np.unique(names, return_inverse=True)[1], np.array(shapes), np.array(scores))


def images_of(clips: Path, people: Path, every: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yields recording and image of clips, and of people's training pictures that look ahead."""
    for path in sorted(clips.glob("*/*.mp4")):
        yield from ((str(path), frame) for i, frame in enumerate(read_video(path)) if i % every == 0)
    with (people / "index.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["split"] == "train" and row["yaw"] and abs(float(row["yaw"])) <= _MAX_YAW_DEGREES:
                yield row["recording"], read_image(people / row["path"])


def displacements(observed: Observed) -> dict[str, np.ndarray]:
    """Returns movement -> displacement [221, 3] for a score of 1, head units, in the part that moves."""
    swapped = [BLENDSHAPES.index(_swap(name)) for name in BLENDSHAPES]
    mirrored = observed.shapes[:, _MIRROR] * [-1, 1, 1]
    gram, moment = np.zeros((len(_MOVEMENTS) + 1,) * 2), np.zeros((len(_MOVEMENTS) + 1, _FACE.size))
    for shapes, scores in ((observed.shapes, observed.scores), (mirrored, observed.scores[:, swapped])):
        levels = [scores[:, scores_of(*starts)].mean(1) for starts in _MOVEMENTS.values()]
        aside = scores[:, scores_of("eyeLookOutLeft", "eyeLookInRight")].mean(1)
        aside -= scores[:, scores_of("eyeLookInLeft", "eyeLookOutRight")].mean(1)
        inputs, outputs = np.stack([*levels, aside], 1), shapes.reshape(len(shapes), -1)
        for number in np.unique(observed.recordings):  # each recording has the same weight
            x, y = (values[observed.recordings == number] for values in (inputs, outputs))
            x, y = x - x.mean(0), y - y.mean(0)
            gram, moment = gram + x.T @ x / len(x) ** 0.5, moment + x.T @ y / len(x) ** 0.5
    scale = np.sqrt(np.diag(gram))
    normal = gram / scale / scale[:, None] + _RIDGE * np.eye(len(scale))
    fitted = np.linalg.solve(normal, moment / scale[:, None]) / scale[:, None]
    found = dict(zip((*_MOVEMENTS, "aside"), fitted.reshape(len(fitted), *_FACE.shape), strict=True))
    lower, upper, lids, irises = _parts()
    result = {name: found[name] * lower for name in LOWER_FACE}
    result |= {name: found[name] * upper for name in ("brow_inner", "brow_outer", "brow_down")}
    result |= {"squint": found["squint"] * lids, "lids_down": found["down"] * lids, "gaze_x": found["aside"] * irises}
    result["gaze_y"] = (found["up"] - found["down"]) / 2 * irises
    result["lids_up"] = np.zeros_like(_FACE)
    result["lids_up"][[37, 38, 43, 44], 1] = -0.04
    return result


def _swap(name: str) -> str:
    """Returns the score of the other side."""
    stem = name.removesuffix("Left").removesuffix("Right")
    return name if stem == name else stem + ("Right" if name.endswith("Left") else "Left")


def _parts() -> list[np.ndarray]:
    """Returns the weights of lower face, upper face, lids and irises, [221, 1] each, 0 to 1. The skull stays."""

    def ramp(values: np.ndarray, start: float, end: float) -> np.ndarray:
        t = np.clip((values - start) / (end - start), 0, 1)
        return t * t * (3 - 2 * t)

    lower, upper = ramp(_FACE[:, 1], 0.05, 0.35), ramp(-_FACE[:, 1], -0.05, 0.12)
    lids, irises = np.zeros(len(_FACE)), np.zeros(len(_FACE))
    lids[RIGHT_EYE] = lids[LEFT_EYE] = irises[[RIGHT_IRIS, LEFT_IRIS]] = 1
    for weights in (lower, upper):
        weights[[*range(27, 48), RIGHT_IRIS, LEFT_IRIS]] = 0
    upper[:17] = 0
    for weights in (lower, upper, lids):
        weights[RIGID] = 0
    return [weights[:, None] for weights in (lower, upper, lids, irises)]
