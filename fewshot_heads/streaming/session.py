"""The stages of a live session: capture, drive, render, show.

One thread captures, some drive and render, one shows. Between them lie queues of one, in which the newest item wins. So
a slow stage drops frames, and never lags. A thread that is free to render drives the newest frame first: then no frame
is driven in vain, and none waits between the two.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from threading import Lock, Thread
from typing import NamedTuple

import numpy as np

from fewshot_heads.driving.covered_mouth import mouth_is_covered
from fewshot_heads.driving.live_driver import LiveDriver, LiveFace
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.quarter_turns import upright_faces
from fewshot_heads.driving.retargeting import Retargeter
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.rendering.animation import FrameRenderer
from fewshot_heads.rendering.parallel import render_pool
from fewshot_heads.streaming.controls import Controls, terminal_keys
from fewshot_heads.streaming.latest import Latest
from fewshot_heads.streaming.meter import Measure, Meter
from fewshot_heads.streaming.outputs import Output

_POLL_S = 0.02  # how often keys are looked for while no frame comes
_JOIN_S = 12.0  # longest wait for a stage at the end: a network stream answers within 10 s


class Captured(NamedTuple):
    """A frame of the camera, uint8 RGB [H, W, 3], and when it came, seconds."""

    time: float
    frame: np.ndarray


class Driven(NamedTuple):
    """What is to be rendered.

    Attributes:
        time: when the camera's frame came, seconds.
        portrait: index of the portrait.
        face: landmarks, pixels of the portrait's crop.
        mouth: the driver's mouth, or None.
    """

    time: float
    portrait: int
    face: Landmarks
    mouth: MouthCrop | None


@dataclass
class Puppeteer:
    """Turns the driver's frames into landmarks of the portrait that is on stage.

    Attributes:
        driver: follows the driver.
        portraits: the renderers, whose heads are moved.
        controls: what keys change.
        still_body: whether heads stay on shoulders, as in `retargeting.retarget`.
        parts: strengths of parts of the face, as in `retargeting.retarget`.
    """

    driver: LiveDriver
    portraits: Sequence[FrameRenderer]
    controls: Controls
    still_body: bool = True
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._covered = [mouth_is_covered(portrait.head) for portrait in self.portraits]
        self._calibrations, self._is_mirrored = self.controls.calibrations, False
        self._compared: tuple[int, Landmarks] | None = None  # portrait and reference of the retargeter
        self._retargeter: Retargeter | None = None

    def drive(self, captured: Captured) -> Driven:
        """Returns what a frame of the camera asks for: the portrait as it is, until a face was seen."""
        controls, frame = self.controls, captured.frame
        portrait, is_mirrored, calibrations = controls.portrait, controls.is_mirrored, controls.calibrations
        if is_mirrored != self._is_mirrored:
            self.driver.mirror(frame.shape[1])
        if calibrations != self._calibrations:
            self.driver.recalibrate()
        self._is_mirrored, self._calibrations = is_mirrored, calibrations
        seen = self.driver.update(np.ascontiguousarray(frame[:, ::-1]) if is_mirrored else frame, captured.time)
        if seen is None:
            return Driven(captured.time, portrait, self.portraits[portrait].head.landmarks[0], None)
        return Driven(captured.time, portrait, self._retarget(portrait, seen), seen.mouth)

    def _retarget(self, portrait: int, seen: LiveFace) -> Landmarks:
        """Returns the portrait's face for the driver's. The driver's crop is that of the reference."""
        head = self.portraits[portrait].head
        size = head.crop.size
        crop = Crop.around([seen.reference], size)

        def cropped(face: Landmarks) -> Landmarks:
            return head.usual.from_crop(crop.to_crop(face))

        reference, face = upright_faces([cropped(seen.reference), cropped(seen.landmarks)], size)
        compared = (portrait, seen.reference)
        if self._retargeter is None or self._compared is None or any(map(_differ, compared, self._compared)):
            rest, covered = CanonicalFace.of(reference), self._covered[portrait]
            self._retargeter = Retargeter(head.landmarks[0], rest, size, self.still_body, covered, self.parts)
            self._compared = compared
        return self._retargeter.retarget(face, self.controls.pose, self.controls.expression)


def _differ(a: object, b: object) -> bool:
    return a is not b


class LiveSession:
    """Runs all stages until the camera ends, a key quits, or Ctrl-C.

    Args:
        frames: of the camera, uint8 RGB [H, W, 3], each when it comes.
        puppeteer: drives the portraits.
        output: shows the frames; entered already.
        report_seconds: time between two lines about speed; 0 for none.
        clock: returns seconds.
    """

    def __init__(
        self, frames: Iterator[np.ndarray], puppeteer: Puppeteer, output: Output, report_seconds: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        self._frames, self._puppeteer, self._output = frames, puppeteer, output
        self._report_seconds, self._clock = report_seconds, clock
        self._captured: Latest[Captured] = Latest()
        self._rendered: Latest[tuple[float, np.ndarray]] = Latest()
        self._driving = Lock()  # the driver is followed from frame to frame
        self._errors: list[BaseException] = []
        self.meter = Meter()

    def run(self) -> Measure | None:
        """Returns the speed of the whole session, None if fewer than two frames were shown.

        Ctrl-C ends the session like the key q.

        Raises:
            FewshotHeadsError: as the camera, the renderers and the output.
        """
        controls = self._puppeteer.controls
        with render_pool() as (pool, workers):
            performers = [pool.submit(self._guarded, self._perform) for _ in range(workers)]
            threads = [Thread(target=self._guarded, args=[self._capture], daemon=True)]
            threads.append(Thread(target=self._close_rendered, args=[performers], daemon=True))
            for thread in threads:
                thread.start()
            try:
                with suppress(KeyboardInterrupt):
                    self._show(controls)
            finally:
                controls.has_quit = True
                self._captured.close()
                for thread in threads:
                    thread.join(_JOIN_S)
        if self._errors:
            raise self._errors[0]
        return self.meter.since()

    def _capture(self) -> None:
        try:
            for frame in self._frames:
                if self._puppeteer.controls.has_quit:
                    return
                self._captured.put(Captured(self._clock(), frame))
        finally:
            self._captured.close()

    def _perform(self) -> None:
        """Drives and renders the newest frame, again and again."""
        while True:
            with self._driving:
                captured = self._captured.take()
                if captured is None:
                    return
                driven = self._puppeteer.drive(captured)
            portrait = self._puppeteer.portraits[driven.portrait]
            (crop,) = portrait.render([driven.face], [driven.mouth] if driven.mouth else None)
            self._rendered.put((driven.time, portrait.place(crop)))

    def _close_rendered(self, performers: Sequence[Future[None]]) -> None:
        """Ends the last stage when all frames are rendered."""
        wait(performers)
        self._rendered.close()

    def _guarded(self, stage: Callable[[], None]) -> None:
        """Runs a stage, and keeps its error, which ends the session."""
        try:
            stage()
        except BaseException as error:  # raised again by `run`
            self._errors.append(error)
            self._puppeteer.controls.has_quit = True

    def _show(self, controls: Controls) -> None:
        """Shows frames in this thread, which windows need, and presses keys."""
        last, reported = -np.inf, self._clock()
        with terminal_keys() as terminal:
            while not (controls.has_quit or self._rendered.is_finished):
                shown = self._rendered.take(_POLL_S)
                if shown is not None and shown[0] > last:  # renderers may finish in another order
                    self._output.show(shown[1], shown[0])
                    last = shown[0]
                    self.meter.add(last, self._clock())
                for key in filter(None, chain(self._output.keys(), [next(terminal)])):
                    controls.press(key)
                if self._report_seconds and self._clock() - reported > self._report_seconds:
                    print(self.meter.since(reported) or "no frames now", file=sys.stderr, flush=True)
                    reported = self._clock()
