"""Idle motion: a head that looks around and blinks."""

from __future__ import annotations

import cv2
import numpy as np

from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.lids import close_lids
from fewshot_heads.landmarks.pose import MEAN_HEAD, Pose

# Amplitude in radians and period in seconds of pitch, yaw and roll.
_SWINGS_RADIANS_SECONDS = ((0.035, 5.3), (0.09, 6.9), (0.03, 8.7))
_BLINK_PERIOD_SECONDS, _BLINK_DURATION_SECONDS = 3.1, 0.24
_CROPS_PER_HEAD_UNIT = 1 / 4  # the mean head is 1.6 units wide


def idle_motion(frames: int, rate: float, size: int = 256) -> list[Landmarks]:
    """Returns the mean head as it turns a little and blinks, in a closed loop.

    The first frame looks straight ahead with open eyes. The last frame precedes the first one.

    Args:
        frames: number of frames.
        rate: frames per second.
        size: side of the crop whose pixels the landmarks are in.
    """
    time, duration = np.arange(frames) / rate, frames / rate
    turns = [
        amplitude * np.sin(2 * np.pi * max(round(duration / period), 1) * time / duration)
        for amplitude, period in _SWINGS_RADIANS_SECONDS
    ]
    blinks = max(round(duration / _BLINK_PERIOD_SECONDS), 1)
    seconds_from_blink = np.abs((time * blinks / duration) % 1 - 0.5) * duration / blinks
    closed = np.cos(np.pi / 2 * np.clip(seconds_from_blink / (_BLINK_DURATION_SECONDS / 2), 0, 1)) ** 2
    # The upper lids alone move, and irises stay on the visible part of the eye.
    heads = close_lids(
        np.repeat(MEAN_HEAD.astype(np.float64)[None], frames, 0), closed, upper_share=1.0, move_irises=True
    )
    center = np.array([size / 2, size / 2, 0.0])
    return [
        Landmarks.from_array(Pose(cv2.Rodrigues(turn)[0], center, size * _CROPS_PER_HEAD_UNIT).apply(head))
        for turn, head in zip(np.stack(turns, 1), heads, strict=True)
    ]
