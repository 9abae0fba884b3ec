"""Steps of `animate` that `batch` shares: from sources to a head, from a head or a video and a motion to frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fewshot_heads.cli.session import load_head
from fewshot_heads.driving.retargeting import PARTS
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import UsageError
from fewshot_heads.head import Head
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.reenactor import Reenactor


def source_head(reenactor: Reenactor, sources: Sequence[Path], config: Mapping[str, Any]) -> Head:
    """Returns the head of one saved head, or of the pictures of one person.

    Args:
        reenactor: makes the head, or must have made it.
        sources: one `.safetensors` file, or pictures.
        config: the keys of conf/animate.yaml.

    Raises:
        UsageError: a saved head is not the only source.
        FewshotHeadsError: as `Reenactor.embed` and `load_head`.
    """
    if sources[0].suffix.lower() != ".safetensors":
        return reenactor.embed(sources, config["source_face"])
    if len(sources) > 1:
        raise UsageError(f"{sources[0]}: a saved head is the only source; leave the others out")
    return load_head(reenactor, sources[0])


def animation_frames(
    reenactor: Reenactor, head: Head, motion: Motion, driver: Iterable[np.ndarray] | Motion, config: Mapping[str, Any]
) -> Iterator[np.ndarray]:
    """Returns an iterator over the frames of an animation, uint8 RGB [H, W, 3].

    Args:
        reenactor: made the head.
        head: the head.
        motion: what the driver does.
        driver: frames of the driver, uint8 RGB [h, w, 3], shown beside the result if `side_by_side` is set, or the
            saved motion.
        config: the keys of conf/animate.yaml.

    Raises:
        FewshotHeadsError: as `Reenactor.animate`.
    """
    options = {key: config[key] for key in ("motion", "pose", "batch", "shading")}
    frames = reenactor.animate(head, motion, **options, **rendering_options(config), **_expression_options(config))
    if isinstance(driver, Motion) or not config["side_by_side"]:
        return frames
    return _side_by_side(repeat(head.as_given(head.picture)), driver, frames)


def video_frames(
    reenactor: Reenactor, source: Iterable[np.ndarray], source_motion: Motion, motion: Motion,
    driver: Iterable[np.ndarray] | Motion, config: Mapping[str, Any],
) -> Iterator[np.ndarray]:  # fmt: skip
    """Returns an iterator over the frames of a video whose person has the driver's expression, uint8 RGB [H, W, 3].

    Args:
        reenactor: renders the frames.
        source: frames of the video, uint8 RGB [H, W, 3], at the driver's rate.
        source_motion: what its person does.
        motion: what the driver does.
        driver: as in `animation_frames`.
        config: the keys of conf/animate.yaml.

    Raises:
        FewshotHeadsError: as `Reenactor.animate_video`.
    """
    frames = reenactor.animate_video(source, motion, source_motion, **_expression_options(config))
    if isinstance(driver, Motion) or not config["side_by_side"]:
        return frames
    return _side_by_side(source, driver, frames)


def rendering_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of `Reenactor.renderer`."""
    resolution = None if config["resolution"] == "auto" else int(config["resolution"])
    return {"paste_back": config["paste_back"], "resolution": resolution}


def _expression_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of `Reenactor.animate` about the expression."""
    reference = None if config["reference"] == "auto" else int(config["reference"])
    parts = {part: config[part] for part in PARTS}
    return {"expression": config["expression"], "mouth": config["mouth"], "reference": reference, "parts": parts}


def _side_by_side(
    sources: Iterable[np.ndarray], driver: Iterable[np.ndarray], frames: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yields source, driver and result next to each other, at the result's height."""
    for source, driver_frame, frame in zip(sources, driver, frames, strict=False):
        height = frame.shape[0]
        yield image_grid([[_at_height(source, height), _at_height(driver_frame, height), frame]])


def _at_height(image: np.ndarray, height: int) -> np.ndarray:
    width = round(image.shape[1] * height / image.shape[0])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
