"""What the commands that animate share, from their paths and configuration to the library's values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import OutputError
from fewshot_heads.landmarks import detectors
from fewshot_heads.media.files import check_target
from fewshot_heads.media.video_reader import VIDEOS, Video
from fewshot_heads.models.checkpoint import load_checkpoint, load_inpainters
from fewshot_heads.reenactor import Reenactor


def is_driver(path: Path) -> bool:
    """Whether a path is one of what moves: videos and folders."""
    return path.is_dir() or path.suffix.lower() in VIDEOS


def check_output(path: Path, kinds: Collection[str], overwrite: bool, inputs: Iterable[Path]) -> None:
    """Raises OutputError for a target that cannot be written or is an input, before any work is done for it."""
    check_target(path, kinds, overwrite)
    if path.resolve() in (each.resolve() for each in inputs):
        raise OutputError(f"{path}: is also an input; choose another output")


def open_reenactor(config: Mapping[str, Any]) -> Reenactor:
    """The library as a configuration wants it: model, device, landmarks and threads."""
    if config["threads"]:
        torch.set_num_threads(config["threads"])
    inpainters = load_inpainters(config["inpainters"])
    return Reenactor(load_checkpoint(config["model"]), config["device"], detectors(**config["landmarks"]), inpainters)


def track_driver(reenactor: Reenactor, driver: Video, config: Mapping[str, Any]) -> Motion:
    """The motion of a driver's `driver_face`, smoothed by `smooth`."""
    frames = tqdm(driver, "landmarks", driver.frame_count_estimate, disable=None, unit="frame", leave=False)
    return reenactor.track(frames, config["driver_face"], config["smoothing"], driver.rate, str(driver.path))
