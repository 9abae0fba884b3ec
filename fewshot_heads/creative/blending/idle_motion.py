"""Idle motion: a head that looks around and blinks."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS, Landmarks
from fewshot_heads.landmarks.pose import MEAN_HEAD, Pose

_TURNS = ((0.035, 5.3), (0.09, 6.9), (0.03, 8.7))  # radians and seconds to and fro: pitch, yaw, roll
_BLINK_EVERY, _BLINK_LASTS = 3.1, 0.24  # seconds


def idle_motion(frames: int, rate: float, size: int = 256) -> list[Landmarks]:
    """The mean head, turning a little to and fro and blinking; the last frame goes on into the first.

    Landmarks in pixels of a size x size crop; frame 0 looks straight ahead with open eyes.
    """
    time, lasts = np.arange(frames) / rate, frames / rate
    angles = [much * np.sin(2 * np.pi * max(round(lasts / way), 1) * time / lasts) for much, way in _TURNS]
    blinks = max(round(lasts / _BLINK_EVERY), 1)
    since = np.abs((time * blinks / lasts) % 1 - 0.5) * lasts / blinks  # seconds from the middle of the nearest
    shut = np.cos(np.pi / 2 * np.clip(since / (_BLINK_LASTS / 2), 0, 1)) ** 2
    faces = []
    for turn, closed in zip(np.stack(angles, 1), shut, strict=True):
        pose = Pose(cv2.Rodrigues(turn)[0], np.array([size / 2, size / 2, 0.0]), size / 4)
        faces.append(Landmarks.from_array(pose.apply(_lids(MEAN_HEAD.astype(np.float64), closed))))
    return faces


def _lids(local: np.ndarray, closed: float) -> np.ndarray:
    """Head [70, 3] with the upper lids this far down to the lower ones, 0 to 1; the irises go with them, as seen."""
    result = local.copy()
    for eye, iris in ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS)):
        upper, lower = eye.start + np.array([1, 2]), eye.start + np.array([5, 4])
        result[upper] += closed * (local[lower] - local[upper])
        result[iris] += closed * (local[lower].mean(0) - local[iris])
    return result
