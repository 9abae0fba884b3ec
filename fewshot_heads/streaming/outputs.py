"""Where a live session shows its frames: a window, a virtual camera, a video file; see also `mjpeg`.

An output is entered by `with`, takes frames by `show`, and gives the keys that were pressed in it.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.media.watermark import embed

_TITLE = "fewshot_heads, live (synthetic)"
_VIRTUAL_LABEL = "synthetic"  # a virtual camera has no place for metadata


class Output(ABC):
    """A place that shows frames."""

    def __enter__(self) -> Output:
        """Opens the output."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the output."""
        return None

    @abstractmethod
    def show(self, frame: np.ndarray, time: float) -> None:
        """Shows a frame.

        Args:
            frame: uint8 RGB [H, W, 3]. Another portrait may have another size.
            time: when the driver was captured, seconds.
        """

    def keys(self) -> list[str]:
        """Returns the keys that were pressed since the last call."""
        return []


class Window(Output):
    """A window of this computer.

    Raises:
        BadInput: there is no display.
    """

    def __init__(self) -> None:
        has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if sys.platform == "linux" and not has_display:  # OpenCV would end the process
            raise BadInput("output=window: no display; use --output mjpeg:8080 and a browser, or a file")
        cv2.namedWindow(_TITLE, cv2.WINDOW_AUTOSIZE)

    def __exit__(self, *error: Any) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()

    def show(self, frame: np.ndarray, time: float) -> None:
        """Shows a frame; see `Output.show`."""
        cv2.imshow(_TITLE, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def keys(self) -> list[str]:
        """Returns the pressed key; a closed window is "q"."""
        key = cv2.pollKey()
        if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return ["q"]
        return [chr(key & 0xFF)] if key >= 0 else []


class VirtualCamera(Output):
    """A camera that other programs see, with the word "synthetic" in its picture.

    Args:
        rate: frames per second that it announces.
        mark: the mark of synthetic content.

    Raises:
        BadInput: pyvirtualcam is not installed.
    """

    def __init__(self, rate: float, mark: Provenance) -> None:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise BadInput("output=virtual: needs pyvirtualcam; pip install 'fewshot_heads[live]'") from error
        self._make, self._rate, self._mark = pyvirtualcam.Camera, rate, mark
        self._camera: Any = None

    def __exit__(self, *error: Any) -> None:
        """Closes the camera."""
        if self._camera is not None:
            self._camera.close()

    def show(self, frame: np.ndarray, time: float) -> None:
        """Sends a frame; see `Output.show`. The first one sets the size.

        Raises:
            BadInput: the system has no virtual camera.
        """
        if self._camera is None:
            height, width = (side + side % 2 for side in frame.shape[:2])
            try:
                self._camera = self._make(width=width, height=height, fps=self._rate)
            except RuntimeError as error:
                raise BadInput(
                    f"output=virtual: {first_line(error)}; install v4l2loopback (Linux) or OBS (Windows, macOS)"
                ) from error
        labelled = fitted(frame, self._camera.height, self._camera.width)
        for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            corner = (8, len(labelled) - 10)
            cv2.putText(labelled, _VIRTUAL_LABEL, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, thickness, cv2.LINE_AA)
        self._camera.send(embed(labelled, self._mark.sha256))


class VideoFile(Output):
    """A video at a constant rate: a frame is repeated until the next one is due.

    Args:
        path: .mp4, .webm or .gif.
        rate: frames per second.
        crf: constant rate factor.
        mark: the mark of synthetic content.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, rate: float, crf: int, mark: Provenance, overwrite: bool) -> None:
        self._writer = VideoWriter(path, rate, crf, audio=False, mark=mark, overwrite=overwrite)
        self._rate, self._start, self._count = rate, 0.0, 0
        self._last: np.ndarray | None = None

    def __enter__(self) -> VideoFile:
        """Creates the part file."""
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Completes the file, or removes it after an error."""
        if self._last is not None and error is None:
            self._writer.add(self._last)
        self._writer.__exit__(kind, error, trace)

    def show(self, frame: np.ndarray, time: float) -> None:
        """Writes the frame before, until this one is due; see `Output.show`."""
        if self._last is None:
            self._start = time
        else:
            for _ in range(round((time - self._start) * self._rate) - self._count):
                self._writer.add(self._last)
                self._count += 1
            frame = fitted(frame, *self._last.shape[:2])
        self._last = frame


def fitted(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns a frame inside a size, with black beside it, uint8 [height, width, 3], a new array.

    Args:
        frame: uint8 [H, W, 3].
        height: pixels.
        width: pixels.
    """
    scale = min(height / frame.shape[0], width / frame.shape[1])
    inner_height, inner_width = (max(round(side * scale), 1) for side in frame.shape[:2])
    if abs(scale - 1) * max(height, width) < 1:  # one pixel of padding is no reason to resample
        inner, (inner_height, inner_width) = frame, frame.shape[:2]
    else:
        inner = cv2.resize(frame, (inner_width, inner_height), interpolation=cv2.INTER_AREA)
    result = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    result[top : top + inner_height, left : left + inner_width] = inner
    return result
