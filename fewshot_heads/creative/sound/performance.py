"""Generates the motion of a face from curves of a sound; the same seed gives the same motion.

Expressions lie in the expression basis. The most common free components circle around the neutral face at a constant
distance. Mouth and brows move along their most likely directions. A gain scales all of them. `Reenactor.animate`
transfers the motion to any head, which keeps its shape with `motion="relative"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import pi

import cv2
import numpy as np

from fewshot_heads.creative.sound.expression_basis import BROWS, EYES, MOUTH, MotionBasis
from fewshot_heads.creative.sound.features import followed, pulses
from fewshot_heads.creative.sound.vocabulary import SIGNALS, TARGETS
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import UsageError, did_you_mean
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.lids import close_lids
from fewshot_heads.landmarks.pose import MEAN_HEAD, Pose

_FULL_REACTION_DEVIATIONS = 2.5  # of mouth and brows at 1
_FULL_TURN_RADIANS = np.radians(10)
_MAX_GAIN = 100.0  # of amounts, gains, blinks per second and deviations; beyond, sums overflow
_FREE_COMPONENTS = 6  # they circle in pairs
_SWAY_RADIANS = np.radians([3.0, 4.0, 2.5])  # amplitudes of pitch, yaw and roll at a gain of 1
_SWAY_SECONDS = 1.0  # time constant of the sway's gain: a head that jumps with each beat looks shaken
_NECK = np.array([0, MEAN_HEAD[8, 1], MEAN_HEAD[[0, 16], 2].mean()])  # height of the chin, depth of the ears
_FRAME_PIXELS, _PIXELS_PER_HEAD_UNIT = 512, 120.0  # of the generated driver


def parse_reactions(react: Mapping[str, str]) -> list[tuple[str, str, float]]:
    """Returns (signal, target, amount) of each reaction in a mapping.

    Args:
        react: such as {"onset": "blink:1,nod:0.3", "bass": "expression", "rms": "off"}. The amount is 1 by default.

    Raises:
        UsageError: a signal or target is unknown, or an amount is not a number from -100 to 100. The message names the
            nearest word.
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
            if not abs(number) <= _MAX_GAIN:
                raise UsageError(
                    f"react.{signal}={text}: '{amount}' is not a number from -100 to 100; write {target}:1.0"
                )
            found.append((signal, target, number))
    return found


def control_signals(curves: Mapping[str, np.ndarray], react: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Returns the weighted sum of the signals for each of the `TARGETS`, float64 [T].

    Args:
        curves: signals [T], see `features.analyse`.
        react: see `parse_reactions`.
    """
    controls = {target: np.zeros(len(next(iter(curves.values())))) for target in TARGETS}
    for signal, target, amount in parse_reactions(react):
        controls[target] += amount * curves[signal]
    return controls


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
    """Returns the motion of T + 1 frames; the first is the neutral face, the `reference` for `animate`.

    Args:
        curves: signals [T], 0 to 1, see `features.analyse`.
        react: what each signal moves, see `parse_reactions`.
        rate: frames per second.
        seed: the same seed gives the same motion.
        idle_motion_gain: gain without any sound: 0 is a still face, 1 the amplitude of real faces.
        blinks: spontaneous blinks per second.
        clamp: limit of every expression, standard deviations of real faces.
        basis: the expression basis; None takes the shipped one.

    Raises:
        UsageError: a number is negative or over 100, or a reaction is unknown.
    """
    for name, value in (("idle_motion_gain", idle_motion_gain), ("blinks", blinks), ("clamp", clamp)):
        if not 0 <= value <= _MAX_GAIN:
            raise UsageError(f"{name}={value}: expected a number from 0 to {_MAX_GAIN:g}")
    basis = basis or MotionBasis.load()
    count = len(next(iter(curves.values())))
    seconds = np.arange(count) / float(rate)
    controls, random = control_signals(curves, react), np.random.default_rng(seed)
    spontaneous_blinks = pulses(_blink_moments(random, blinks, count / float(rate)), seconds)
    gain = np.maximum(idle_motion_gain + controls["expression"], 0)

    z = _circling(basis, random, seconds)
    mouth, brows, _ = basis.steer([MOUTH, BROWS, EYES])
    for name, direction in (("mouth", mouth), ("brows", brows)):
        z += _FULL_REACTION_DEVIATIONS * np.clip(controls[name], 0, 1)[:, None] * direction
    z *= gain[:, None]
    faces = basis.neutral + basis.faces(z, clamp)
    faces = close_lids(faces, np.clip(np.maximum(controls["blink"], spontaneous_blinks), 0, 1))
    slow_gain = followed(gain, 1 / float(rate), _SWAY_SECONDS, _SWAY_SECONDS)[:, None]
    sway = slow_gain * _SWAY_RADIANS * _waves(random, seconds)
    turns = np.stack([controls["nod"], -controls["turn"], controls["tilt"]], axis=1)
    angles = sway + _FULL_TURN_RADIANS * turns
    landmarks = [_to_landmarks(basis.neutral, np.zeros(3)), *map(_to_landmarks, faces, angles)]
    return Motion(landmarks, [], [(0, count + 1)], (_FRAME_PIXELS, _FRAME_PIXELS), "the sound")


def _circling(basis: MotionBasis, random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """Returns z [T, K] of free components that circle in pairs, so that the offset's length stays constant.

    The length is the root mean square of those components in real clips.
    """
    motions, spread = basis.free_components([MOUTH, BROWS, EYES], _FREE_COMPONENTS)
    motions = motions / spread[:, None]  # unit length as offsets
    z = np.zeros((len(seconds), motions.shape[1]))
    for first in range(0, _FREE_COMPONENTS, 2):
        pair = slice(first, first + 2)
        turns = random.uniform(0.08, 0.2) * seconds + 0.15 * np.sin(2 * pi * random.uniform(0.03, 0.06) * seconds)
        angle = 2 * pi * (turns + random.uniform())
        z += np.linalg.norm(spread[pair]) * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ motions[pair]
    return z


def _waves(random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """Returns slow, uneven waves [T, 3] between -1 and 1."""
    frequency = random.uniform([[0.07], [0.17]], [[0.13], [0.29]], (2, 3))
    phase = random.uniform(0, 2 * pi, (2, 3))
    return np.tensordot(np.sin(2 * pi * frequency * seconds[:, None, None] + phase), [0.65, 0.35], ((1,), (0,)))


def _blink_moments(random: np.random.Generator, per_second: float, seconds: float) -> np.ndarray:
    """Returns the seconds of blinks, a Poisson process of that mean frequency."""
    return random.uniform(0, seconds, random.poisson(per_second * seconds))


def _to_landmarks(shape: np.ndarray, angles: np.ndarray) -> Landmarks:
    """Returns a face [70, 3] in the head's frame, rotated about the neck by a rotation vector [3]."""
    rotation = cv2.Rodrigues(np.asarray(angles, float))[0]
    center = np.array([_FRAME_PIXELS / 2, _FRAME_PIXELS / 2, 0])
    center = center + _PIXELS_PER_HEAD_UNIT * (_NECK - rotation @ _NECK)
    return Landmarks.from_array(Pose(rotation, center, _PIXELS_PER_HEAD_UNIT).apply(shape))
