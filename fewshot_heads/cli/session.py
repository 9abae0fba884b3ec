"""Steps that the command lines share: networks, motion, and the video that is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.memory import share_heap
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.head import Head
from fewshot_heads.imaging.threads import set_thread_count
from fewshot_heads.media.audio import Audio
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_reader import Video
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.reenactor import Reenactor


def open_reenactor(config: Mapping[str, Any]) -> Reenactor:
    """Returns the library as configured: model, device, backend, landmarks, inpainters and threads."""
    share_heap()
    if config["threads"]:
        set_thread_count(config["threads"])
    backend = config.get("backend", "torch")  # without the key, a command does not animate
    options = {key: config[key] for key in ("model", "device", "landmarks", "inpainters")}
    return Reenactor.from_pretrained(**options, backend=backend)


def load_head(reenactor: Reenactor, path: Path) -> Head:
    """Returns a saved head that the reenactor can animate. Errors name its file."""
    head = Head.load(path)
    reenactor.check_made_here(head, str(path))
    return head


def track_driver(reenactor: Reenactor, driver: Video | Motion, config: Mapping[str, Any]) -> Motion:
    """Returns the motion of a driver's `driver_face`, smoothed by `smoothing`; a saved motion stays as it is."""
    if isinstance(driver, Motion):
        return driver
    frames = tqdm(driver, "landmarks", driver.frame_count_estimate, disable=None, unit="frame", leave=False)
    return reenactor.track(frames, config["driver_face"], config["smoothing"], driver.rate, str(driver.path))


def write_frames(
    frames: Iterable[np.ndarray],
    output: Path,
    like: Video | Motion | Fraction | float,
    mark: Provenance,
    crf: int,
    overwrite: bool,
    description: str,
    count: int,
    audio: bool | Audio = True,
) -> Path:
    """Writes frames to a video under a progress bar, and returns its path.

    Args:
        frames: uint8 [H, W, 3] each.
        output: .mp4, .webm or .gif.
        like: a video that gives rate and sound, a motion that gives the rate, or frames per second.
        mark: the mark of synthetic content.
        crf: constant rate factor, 0 best to 51 smallest.
        overwrite: whether to replace an existing file.
        description: word beside the progress bar.
        count: number of frames, for the progress bar.
        audio: sound of the video; True takes that of `like`.

    Raises:
        OutputError: the video cannot be written.
    """
    like = like.rate if isinstance(like, Motion) else like
    with VideoWriter(output, like, crf, audio, mark, overwrite) as writer:
        for frame in tqdm(frames, description, count, disable=None, unit="frame"):
            writer.add(frame)
    return output
