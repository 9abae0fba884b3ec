"""What happens to a video or picture on its way through the world: treatments that a watermark is to survive."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fewshot_heads.media.images import PICTURES, read_image
from fewshot_heads.media.video_reader import read_video
from fewshot_heads.media.video_writer import VideoWriter

Frames = list[np.ndarray]  # uint8 RGB [H, W, 3]
MAX_SIDE_PX = 1280  # of larger footage


def read_frames(path: Path, count: int) -> Frames:
    """Returns the picture, or the first frames of the video, of a file."""
    if path.suffix.lower() in PICTURES:
        return [read_image(path, MAX_SIDE_PX)]
    frames = list(islice(read_video(path), count))
    factor = min(1.0, MAX_SIDE_PX / max(frames[0].shape[:2]))
    return _scaled(frames, factor) if factor < 1 else frames


def _written(frames: Frames, suffix: str, crf: int = 18) -> Frames:
    """Returns frames as they come back from a file without a mark of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"written{suffix}"
        with VideoWriter(path, 25, crf, mark=None) as writer:
            for frame in frames:
                writer.add(frame)
        return read_frames(path, len(frames))


def _scaled(frames: Frames, factor: float) -> Frames:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return [cv2.resize(frame, None, fx=factor, fy=factor, interpolation=method) for frame in frames]


def _cropped(frames: Frames, left: float, top: float, right: float, bottom: float) -> Frames:
    """Returns frames without these shares of their sides."""
    height, width = frames[0].shape[:2]
    rows = slice(round(top * height), height - round(bottom * height))
    columns = slice(round(left * width), width - round(right * width))
    return [np.ascontiguousarray(frame[rows, columns]) for frame in frames]


def _jpeg(frames: Frames, quality: int) -> Frames:
    """Returns the first frame as it comes back from a jpeg."""
    data = io.BytesIO()
    Image.fromarray(frames[0]).save(data, "jpeg", quality=quality)
    return [np.asarray(Image.open(data))]


def _screenshot(frames: Frames, factor: float) -> Frames:
    """Returns one frame of a player whose window is scaled, and cropped unevenly by hand."""
    return _cropped(_scaled(frames[:1], factor), 0.03, 0.06, 0.05, 0.02)


def _in_a_page(frames: Frames) -> Frames:
    """Returns one frame in a white page that is an eighth larger to each side."""
    height, width = frames[0].shape[:2]
    rows, columns = height // 8, width // 8
    page = np.pad(frames[0], ((rows, rows), (columns, columns), (0, 0)), constant_values=255)
    return _jpeg([page], 85)


def _rotated(frames: Frames, degrees: float) -> Frames:
    height, width = frames[0].shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return [cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT) for frame in frames]


def _stretched(frames: Frames) -> Frames:
    return [cv2.resize(frame, None, fx=1.1, fy=1.0) for frame in frames]


ALL_SIDES = (0.1, 0.1, 0.1, 0.1)
TREATMENTS: dict[str, Callable[[Frames], Frames]] = {
    "none": lambda frames: frames,
    "H.264, crf 28": lambda frames: _written(frames, ".mp4", 28),
    "VP9, crf 35 of 63": lambda frames: _written(frames, ".webm", 28),
    "gif": lambda frames: _written(frames, ".gif"),
    "half size": lambda frames: _written(_scaled(frames, 0.5), ".mp4"),
    "half size, crf 28": lambda frames: _written(_scaled(frames, 0.5), ".mp4", 28),
    "a tenth off the left": lambda frames: _written(_cropped(frames, 0.1, 0, 0, 0), ".mp4"),
    "a tenth off the top": lambda frames: _written(_cropped(frames, 0, 0.1, 0, 0), ".mp4"),
    "a tenth off each side": lambda frames: _written(_cropped(frames, *ALL_SIDES), ".mp4"),
    "a tenth off each side, crf 28": lambda frames: _written(_cropped(frames, *ALL_SIDES), ".mp4", 28),
    "a tenth off each side, half size": lambda frames: _written(_scaled(_cropped(frames, *ALL_SIDES), 0.5), ".mp4"),
    "screenshot, 0.83 times, png": lambda frames: _screenshot(frames, 0.83),
    "screenshot, 1.37 times, jpeg 80": lambda frames: _jpeg(_screenshot(frames, 1.37), 80),
    "one frame, jpeg 50": lambda frames: _jpeg(frames, 50),
    "one frame in a page, jpeg 85": _in_a_page,
    "mirrored, crf 23": lambda frames: _written([frame[:, ::-1] for frame in frames], ".mp4", 23),
    "brighter, more contrast": lambda frames: [cv2.convertScaleAbs(frame, alpha=1.2, beta=15) for frame in frames],
    "gray": lambda frames: [cv2.merge([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)] * 3) for frame in frames],
    "H.264, crf 35": lambda frames: _written(frames, ".mp4", 35),
    "a third of the size": lambda frames: _written(_scaled(frames, 1 / 3), ".mp4"),
    "a quarter off each side": lambda frames: _written(_cropped(frames, *[0.25] * 4), ".mp4"),
    "blur, 2 pixels": lambda frames: [cv2.GaussianBlur(frame, (0, 0), 2) for frame in frames],
    "rotated by 2 degrees": lambda frames: _rotated(frames, 2),
    "10 % wider": _stretched,
}  # fmt: skip
