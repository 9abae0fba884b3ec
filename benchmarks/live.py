"""Measures a live session: a video stands in for the camera, at its own pace."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from fewshot_heads import Reenactor, VideoWriter, read_video
from fewshot_heads.driving.live_driver import LiveDriver
from fewshot_heads.landmarks import detector
from fewshot_heads.streaming.cameras import open_input
from fewshot_heads.streaming.controls import Controls
from fewshot_heads.streaming.outputs import Output, fitted
from fewshot_heads.streaming.session import LiveSession, Puppeteer

CAMERA_PX = (480, 640)  # height and width
MEASURES = {  # title in the table, digits
    "live_fps": ("live, frames/s", 1),
    "live_median_ms": ("live, latency, median, ms", 0),
    "live_p95_ms": ("live, latency, 95th percentile, ms", 0),
    "live_cpu_ms": ("live, processor time a frame, ms", 0),
}
_WARM_UP_FRAMES = 5


class Nowhere(Output):
    """Takes frames, so that the session alone is measured."""

    def show(self, frame: np.ndarray, time: float) -> None:
        """Drops the frame."""


def camera_clip(source: Path, out: Path, rate: float) -> Path:
    """Writes a clip as a webcam would have taken it, 640x480, and returns its path.

    Args:
        source: the clip.
        out: the result.
        rate: frames per second at which the frames are played, whatever the rate of the clip.
    """
    with VideoWriter(out, Fraction(rate), crf=12, mark=None) as writer:
        for frame in read_video(source):
            writer.add(fitted(frame, *CAMERA_PX))
    return out


def live(reenactor: Reenactor, source: str, camera: str) -> dict[str, float]:
    """Returns frames per second, latency and processor time of a session, as `MEASURES` names them.

    Args:
        reenactor: the model.
        source: path of the portrait.
        camera: path of a `camera_clip`.
    """
    cv2.setNumThreads(1)
    portrait = reenactor.renderer(reenactor.embed([source]))
    for _ in range(_WARM_UP_FRAMES):
        portrait.render(portrait.head.landmarks)
    puppeteer = Puppeteer(LiveDriver(detector(flip_input=False)), [portrait], Controls())
    session = LiveSession(open_input(camera), puppeteer, Nowhere())
    before = time.process_time()
    measure = session.run()
    if measure is None:
        return {}
    cpu_ms = (time.process_time() - before) * 1e3 / measure.frames
    latency = {"live_median_ms": measure.median_ms, "live_p95_ms": measure.p95_ms}
    return {"live_fps": measure.fps, **latency, "live_cpu_ms": cpu_ms}
