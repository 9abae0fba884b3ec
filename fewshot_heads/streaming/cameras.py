"""Where a live session takes its frames from: a camera, a network stream, or a video at its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.media.decoding import STREAM_PROTOCOLS, decoded, open_stream, picture_stream, pixels
from fewshot_heads.media.images import check_size
from fewshot_heads.media.timed_frames import MAX_FRAME_PIXELS
from fewshot_heads.media.video_reader import read_video

MAX_CAMERAS = 100  # OpenCV takes a larger number for another library of cameras, and crashes at negative ones
_WIDTH_PX, _HEIGHT_PX = 640, 480  # asked of a camera, which may give another size


def open_input(name: str) -> Iterator[np.ndarray]:
    """Returns the frames of a network stream or of a file, uint8 RGB [H, W, 3].

    Args:
        name: a URL such as rtsp://HOST/PATH, or the path of a video, gif or folder.

    Raises:
        BadInput: the stream or the file cannot be read.
    """
    if name.partition(":")[0].lower() in STREAM_PROTOCOLS:
        return _stream_frames(name)
    video = read_video(Path(name))
    return paced(video, float(video.rate))


def _stream_frames(url: str) -> Iterator[np.ndarray]:
    """Returns the frames of a network stream, as they come. Raises BadInput if there is no such stream."""
    try:
        container = open_stream(url)
    except (av.FFmpegError, OSError) as error:
        raise BadInput(f"{url}: no stream ({error.strerror}); check the address, and whether it is on") from error

    def frames() -> Iterator[np.ndarray]:
        with container:
            stream = picture_stream(container)
            if stream is None:
                raise BadInput(f"{url}: a stream without pictures; name one that has a camera")
            for frame in decoded(container, stream, []):
                check_size(url, frame.width, frame.height, MAX_FRAME_PIXELS)
                yield pixels(frame, (frame.width, frame.height), [1, 0, 0, 0, 1])

    return frames()


def open_camera(number: int) -> Iterator[np.ndarray]:
    """Returns the frames of a camera of this computer, uint8 RGB [H, W, 3].

    Args:
        number: of the camera, 0 to 99.

    Raises:
        BadInput: there is no such camera.
    """
    if not 0 <= number < MAX_CAMERAS:
        raise BadInput(f"camera {number}: expected 0 to {MAX_CAMERAS - 1}; the first camera is 0")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would explain a missing camera in many lines
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise BadInput(f"camera {number}: cannot be opened; connect it, or close the program that uses it")
    for setting, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, _WIDTH_PX),
        (cv2.CAP_PROP_FRAME_HEIGHT, _HEIGHT_PX),
        (cv2.CAP_PROP_BUFFERSIZE, 1),  # an older frame is of no use
    ):
        camera.set(setting, value)
    return _camera_frames(camera, number)


def _camera_frames(camera: cv2.VideoCapture, number: int) -> Iterator[np.ndarray]:
    try:
        while True:
            is_read, frame = camera.read()
            if not is_read:
                raise BadInput(f"camera {number}: gives no more frames; connect it again")
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        camera.release()


def paced(
    video: Iterable[np.ndarray], rate: float, clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Yields the frames of a video when they are due, as a camera would; frames that are late are dropped.

    Args:
        video: its frames.
        rate: frames per second.
        clock: returns seconds.
        sleep: waits for seconds.
    """
    start, step = None, 1 / rate
    for number, frame in enumerate(video):
        start = clock() if start is None else start
        wait = start + number * step - clock()
        if wait < -step:
            continue
        sleep(max(wait, 0))
        yield frame
