"""Tracks a driver while the command imports torch, loads its networks and makes the head.

The landmarks of a clip of 10 s take two cores 5 s, and everything else before the first frame takes one core 5 s.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.memory import share_heap
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.landmarks import detectors
from fewshot_heads.media.video_reader import Video


class DriverTracking:
    """The motion of a driver, tracked in a thread from the start of a `with` block. This needs no torch.

    The block ends the thread at its next frame.

    Args:
        driver: a video, or its saved motion, which stays as it is.
        config: the keys of conf/animate.yaml.
    """

    def __init__(self, driver: Video | Motion, config: Mapping[str, Any]):
        share_heap()  # before the first frame
        self._driver, self._config = driver, config
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        # Here, because imports of two threads could wait for each other.
        self._detectors = [] if isinstance(driver, Motion) else detectors(**config["landmarks"])

    def __enter__(self) -> DriverTracking:
        self._motion = self._pool.submit(self._track)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._pool.shutdown()

    def motion(self) -> Motion:
        """Waits for the motion, smoothed by `smoothing`.

        Raises:
            BadInput: the driver cannot be read.
            NoFaceFound: no frame shows the face.
        """
        return self._motion.result()

    def _track(self) -> Motion:
        driver, config = self._driver, self._config
        if isinstance(driver, Motion):
            return driver
        options = (config["driver_face"], config["smoothing"], driver.rate, str(driver.path))
        return track(self._frames(driver), self._detectors, *options, pixels=True)

    def _frames(self, driver: Video) -> Iterator[np.ndarray]:
        """Yields the frames under a progress bar, until the block ends."""
        count = driver.frame_count_estimate
        for frame in tqdm(driver, "landmarks", count, disable=None, unit="frame", leave=False):
            if self._stopped.is_set():
                return
            yield frame
