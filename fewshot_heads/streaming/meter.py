"""Frames per second and latency of a live session."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

_KEPT = 100_000  # frames: an hour


class Measure(NamedTuple):
    """What was measured.

    Attributes:
        frames: shown frames.
        fps: shown frames per second.
        median_ms: latency from capture to show, median, milliseconds.
        p95_ms: its 95th percentile.
    """

    frames: int
    fps: float
    median_ms: float
    p95_ms: float

    def __str__(self) -> str:
        return f"{self.fps:.1f} frames/s, latency {self.median_ms:.0f} ms (95 %: {self.p95_ms:.0f} ms)"


class Meter:
    """Notes when frames were captured and shown."""

    def __init__(self) -> None:
        self._times: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # captured, shown

    def add(self, captured: float, shown: float) -> None:
        """Notes one frame; both times in seconds of one clock."""
        self._times.append((captured, shown))

    def since(self, time: float = -np.inf) -> Measure | None:
        """Returns the measure of the frames shown after a time, None for fewer than two."""
        times = np.array([pair for pair in self._times if pair[1] > time])
        if len(times) < 2:
            return None
        captured, shown = times.T
        median, p95 = np.percentile(shown - captured, [50, 95]) * 1000
        return Measure(len(times), (len(times) - 1) / float(np.ptp(shown)), float(median), float(p95))
