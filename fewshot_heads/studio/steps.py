"""Steps that the works of several tabs share: motion of a driver, and the video that is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads.driving.tracking import Motion
from fewshot_heads.media.audio import Audio
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_reader import Video
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.studio.jobs import Job
from fewshot_heads.studio.uploads import Files

PORTRAIT, DRIVER, FRAMES = "Reading the portrait", "Reading the driver", "Animating"
STAGES = {PORTRAIT: 0.05, DRIVER: 0.25, FRAMES: 0.7}  # shares of the time, roughly those of examples/


def track(reenactor: Reenactor, job: Job, files: Files, driver: Video | Motion, config: Mapping[str, Any]) -> Motion:
    """Returns the motion of a driver, and says how far the work is; a saved motion stays as it is.

    Args:
        reenactor: finds the faces.
        job: has the stage `DRIVER`.
        files: say how long a driver may be.
        driver: the video or the saved motion.
        config: with `driver_face` and `smoothing`.
    """
    if isinstance(driver, Motion):
        return driver
    frames = job.watch(DRIVER, files.frames(driver), driver.frame_count_estimate)
    return reenactor.track(frames, config["driver_face"], config["smoothing"], driver.rate, driver.path.name)


def write_video(
    job: Job, frames: Iterable[np.ndarray], count: int, output: Path, like: Video | Fraction, mark: Provenance,
    crf: int, audio: bool | Audio = True,
) -> Path:  # fmt: skip
    """Writes frames to a video and returns its path.

    Args:
        job: has the stage `FRAMES`.
        frames: uint8 [H, W, 3] each.
        count: number of frames.
        output: the video.
        like: gives rate and sound, or frames per second.
        mark: the mark of synthetic content.
        crf: constant rate factor.
        audio: see `VideoWriter`.
    """
    with VideoWriter(output, like, crf, audio, mark) as writer:
        for frame in job.watch(FRAMES, frames, count):
            writer.add(frame)
    return output
