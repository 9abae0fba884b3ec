"""Tracks a driver while the command makes the head, which takes as long as a hundred frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import numpy as np
from tqdm import tqdm

from fewshot_heads.driving.tracking import Motion, Seen, motion_of, observe
from fewshot_heads.imaging.forks import can_fork, forked_items
from fewshot_heads.media.video_reader import Video
from fewshot_heads.reenactor import Reenactor


@contextmanager
def tracked_meanwhile(
    reenactor: Reenactor, driver: Video | Motion, config: Mapping[str, Any]
) -> Iterator[Callable[[], Motion]]:
    """Gives a function that waits for the motion of a driver, which is tracked from now on.

    Its frames are looked at in a forked process, or in a thread where a fork is not safe. The block ends both.

    Args:
        reenactor: whose detectors find the face.
        driver: a video, or its saved motion, which stays as it is.
        config: the keys of conf/animate.yaml. The motion is smoothed by `smoothing`.

    Raises:
        BadInput: the driver cannot be read, when the function is called.
        NoFaceFound: no frame shows the face, as above.
    """
    if isinstance(driver, Motion):
        yield lambda: driver
        return
    face, name = config["driver_face"], str(driver.path)
    ended = Event()  # of the thread; a process is killed

    def frames() -> Iterator[np.ndarray]:
        for frame in tqdm(driver, "landmarks", driver.frame_count_estimate, disable=None, unit="frame", leave=False):
            if ended.is_set():
                return
            yield frame

    def observed() -> Iterator[Seen | None]:
        return observe(frames(), reenactor.detectors, face, name, pixels=True)

    def motion(seen: Iterable[Seen | None]) -> Motion:
        return motion_of(seen, face, config["smoothing"], driver.rate, name)

    if can_fork():
        with forked_items(observed) as seen:
            yield lambda: motion(seen)
        return
    with ThreadPoolExecutor(1) as pool:
        tracking = pool.submit(lambda: motion(observed()))
        try:
            yield tracking.result
        finally:
            ended.set()
