"""Tracks a driver while the command loads its networks and makes the head, which takes nearly as long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import numpy as np
from tqdm import tqdm

from fewshot_heads.cli.memory import share_heap
from fewshot_heads.driving.tracking import Motion, track
from fewshot_heads.imaging.forks import can_fork, forked_items
from fewshot_heads.landmarks import detectors
from fewshot_heads.media.video_reader import Video


@contextmanager
def tracked_meanwhile(driver: Video | Motion, config: Mapping[str, Any]) -> Iterator[Callable[[], Motion]]:
    """Gives a function that waits for the motion of a driver, which is tracked from now on.

    It is tracked in a forked process, or in a thread where a fork is not safe. The block ends both.

    Args:
        driver: a video, or its saved motion, which stays as it is.
        config: the keys of conf/animate.yaml. The motion is smoothed by `smoothing`.

    Raises:
        BadInput: the driver cannot be read, when the function is called.
        NoFaceFound: no frame shows the face, as above.
    """
    share_heap()  # before the first frame
    if isinstance(driver, Motion):
        yield lambda: driver
        return
    searchers = detectors(**config["landmarks"])  # here, because imports of two threads could wait for each other
    ended = Event()  # of the thread; a process is killed

    def frames() -> Iterator[np.ndarray]:
        for frame in tqdm(driver, "landmarks", driver.frame_count_estimate, disable=None, unit="frame", leave=False):
            if ended.is_set():
                return
            yield frame

    def motion() -> Motion:
        options = (config["driver_face"], config["smoothing"], driver.rate, str(driver.path))
        return track(frames(), searchers, *options, pixels=True)

    if can_fork():
        with forked_items(lambda: motion().parts()) as parts:
            yield lambda: Motion.joined(parts)
        return
    with ThreadPoolExecutor(1) as pool:
        tracking = pool.submit(motion)
        try:
            yield tracking.result
        finally:
            ended.set()
