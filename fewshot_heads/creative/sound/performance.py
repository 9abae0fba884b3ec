"""From curves to a moving face: an invented driver, plausible frame by frame, the same for the same seed.

Its expressions lie in the motion basis: the most common motions circle round the neutral face at a constant distance;
mouth and brows go where real ones go; a signal makes all that larger. Lids close over the eye they have.
`Reenactor.animate` carries it onto any head, which keeps its own shape with `motion="relative"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isfinite, pi

import cv2
import numpy as np

from fewshot_heads.creative.sound.expression_basis import BROWS, EYES, MOUTH, MotionBasis
from fewshot_heads.creative.sound.features import SIGNALS, followed, pulses
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import UsageError, did_you_mean
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import MEAN_HEAD, Pose

TARGETS = {
    "expression": "gain of all the face does (play, mouth, brows), 1 as far as people usually go",
    "mouth": "opens, 1 wide, at an expression of 1",
    "brows": "rise, 1 high, at an expression of 1",
    "blink": "the eyes close, 1 wholly",
    "nod": "the head goes down, 1 by 10 degrees",
    "turn": "the face goes to the viewer's right, 1 by 10 degrees",
    "tilt": "the head leans to the viewer's right, 1 by 10 degrees",
    "identity": "becomes somebody else, see `toward`, 1 wholly",
}
_WIDE = 2.5  # deviations of mouth and brows at 1
_ANGLE = np.radians(10)
_PLAYS = 6  # motions of the play; they circle in pairs
_SWAY = np.radians([3.0, 4.0, 2.5])  # how far the head sways in pitch, yaw and roll at a gain of 1
_SLOW = 1.0  # seconds in which the sway follows the gain: a head that jumps with each beat looks shaken
_UPPER, _LOWER = [37, 38, 43, 44], [41, 40, 47, 46]  # lids
_UPPER_SHARE = 0.85  # of a blink is the upper lid's
_NECK = np.array([0, MEAN_HEAD[8, 1], MEAN_HEAD[[0, 16], 2].mean()])  # chin's height, ears' depth
_FRAME, _SCALE = 512, 120.0  # pixels of the invented driver's picture, and of its head's unit


def parse_reactions(react: Mapping[str, str]) -> list[tuple[str, str, float]]:
    """(signal, target, amount) of a mapping such as {"onset": "blink:1,nod:0.3", "bass": "expression", "rms": "off"}.

    Raises UsageError, naming the nearest word, for a signal or target there is not.
    """
    found = []
    for signal, text in react.items():
        _check(f"react.{signal}", signal, SIGNALS)
        for part in text.split(",") if text.strip() != "off" else ():
            target, colon, amount = (piece.strip() for piece in part.partition(":"))
            _check(f"react.{signal}={text}", target, TARGETS)
            try:
                number = float(amount) if colon else 1.0
            except ValueError:
                number = float("nan")
            if not isfinite(number):
                raise UsageError(f"react.{signal}={text}: '{amount}' is not a number; write {target}:1.0")
            found.append((signal, target, number))
    return found


def control_signals(curves: Mapping[str, np.ndarray], react: Mapping[str, str]) -> dict[str, np.ndarray]:
    """What the signals add up to for each of the `TARGETS`: [T]."""
    turned = {target: np.zeros(len(next(iter(curves.values())))) for target in TARGETS}
    for signal, target, amount in parse_reactions(react):
        turned[target] += amount * curves[signal]
    return turned


def _check(where: str, word: str, known: Mapping[str, str]) -> None:
    if word not in known:
        raise UsageError(f"{where}: unknown '{word}'; there is {', '.join(known)}{did_you_mean(word, known)}")


def motion_from_audio(
    curves: Mapping[str, np.ndarray],
    react: Mapping[str, str],
    rate: Fraction | float = 25,
    seed: int = 0,
    idle_motion_gain: float = 0.25,
    blinks: float = 0.1,
    clamp: float = 2.5,
    basis: MotionBasis | None = None,
) -> Motion:
    """The face that `curves` [T] in 0..1 (see `signals.analyse`) make by the mapping `react` (see `parse_reactions`).

    idle_motion_gain: gain without any sound, 0 a mask, 1 as far as people usually go. blinks: of their own accord,
    a second.
    clamp: standard deviations of real faces beyond which no expression goes. Returns T + 1 frames: the first is the
    neutral face, the `reference` for `animate`.
    """
    for name, value in (("idle_motion_gain", idle_motion_gain), ("blinks", blinks), ("clamp", clamp)):
        if not (isfinite(value) and value >= 0):
            raise UsageError(f"{name}={value}: expected a number from 0")
    basis = basis or MotionBasis.load()
    count = len(next(iter(curves.values())))
    seconds = np.arange(count) / float(rate)
    dial, random = control_signals(curves, react), np.random.default_rng(seed)
    own_blinks = pulses(_moments(random, blinks, count / float(rate)), seconds)
    gain = np.maximum(idle_motion_gain + dial["expression"], 0)

    z = _circling(basis, random, seconds)
    mouth, brows, _ = basis.steer([MOUTH, BROWS, EYES])
    for name, measure in (("mouth", mouth), ("brows", brows)):
        z += _WIDE * np.clip(dial[name], 0, 1)[:, None] * measure
    z *= gain[:, None]
    faces = basis.neutral + basis.faces(z, clamp)
    _shut(faces, np.clip(np.maximum(dial["blink"], own_blinks), 0, 1))
    sway = followed(gain, 1 / float(rate), _SLOW, _SLOW)[:, None] * _SWAY * _waves(random, seconds)
    angles = sway + _ANGLE * np.stack([dial["nod"], -dial["turn"], dial["tilt"]], axis=1)
    landmarks = [_placed(basis.neutral, np.zeros(3)), *map(_placed, faces, angles)]
    return Motion(landmarks, [], [(0, count + 1)], (_FRAME, _FRAME), "the sound")


def _circling(basis: MotionBasis, random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """z [T, K] of the play: pairs of equally wide motions go round, so the offset's length never changes.

    It is the root mean square of those motions in real clips."""
    motions, spread = basis.play([MOUTH, BROWS, EYES], _PLAYS)
    motions = motions / spread[:, None]  # unit length as offsets
    z = np.zeros((len(seconds), motions.shape[1]))
    for first in range(0, _PLAYS, 2):
        pair = slice(first, first + 2)
        turns = random.uniform(0.08, 0.2) * seconds + 0.15 * np.sin(2 * pi * random.uniform(0.03, 0.06) * seconds)
        angle = 2 * pi * (turns + random.uniform())
        z += np.linalg.norm(spread[pair]) * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ motions[pair]
    return z


def _waves(random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """[T, 3] slow, uneven waves within -1 and 1."""
    pitch = random.uniform([[0.07], [0.17]], [[0.13], [0.29]], (2, 3))
    phase = random.uniform(0, 2 * pi, (2, 3))
    return np.tensordot(np.sin(2 * pi * pitch * seconds[:, None, None] + phase), [0.65, 0.35], ((1,), (0,)))


def _moments(random: np.random.Generator, often: float, seconds: float) -> np.ndarray:
    """Seconds of blinks, `often` a second in the mean, and as irregular as a Poisson process."""
    return random.uniform(0, seconds, random.poisson(often * seconds))


def _shut(faces: np.ndarray, blink: np.ndarray) -> None:
    """Closes the lids of faces [T, 70, 3] by the share blink [T], in place."""
    gap = blink[:, None, None] * (faces[:, _LOWER] - faces[:, _UPPER])
    faces[:, _UPPER] += _UPPER_SHARE * gap
    faces[:, _LOWER] -= (1 - _UPPER_SHARE) * gap


def _placed(local: np.ndarray, angles: np.ndarray) -> Landmarks:
    """Landmarks of a face [70, 3] in the head's frame, turned by a rotation vector [3]."""
    rotation = cv2.Rodrigues(np.asarray(angles, float))[0]
    center = np.array([_FRAME / 2, _FRAME / 2, 0]) + _SCALE * (_NECK - rotation @ _NECK)
    return Landmarks.from_array(Pose(rotation, center, _SCALE).apply(local))
