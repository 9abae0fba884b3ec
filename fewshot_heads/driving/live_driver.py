"""The driver in front of a live camera: its face, frame by frame, and the reference face to compare with.

Everything is causal: a frame is followed, smoothed and retargeted without those after it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from fewshot_heads.driving.face_follower import has_jumped
from fewshot_heads.driving.mouth_crop import MouthCrop, color_reference
from fewshot_heads.driving.quarter_turns import turned, turned_back, turns_to_upright
from fewshot_heads.driving.smoothing import CausalSmoother
from fewshot_heads.driving.tracking import is_cut
from fewshot_heads.landmarks import Detector, Landmarks
from fewshot_heads.landmarks.pose import mirrored

# A driver who is lost holds the last face for a while, then eases back to the reference, and from there to the driver.
_HOLD_S, _EASE_BACK_S, _EASE_IN_S = 0.5, 1.0, 0.3
_COLOR_FRAMES = 50  # whose median is the color reference of a mouth: two seconds


class LiveFace(NamedTuple):
    """The driver in one frame.

    Attributes:
        landmarks: the face, pixels of the camera's frame.
        reference: the driver's face that corresponds to the source image, same pixels.
        mouth: the driver's mouth, or None if mouths are not kept.
    """

    landmarks: Landmarks
    reference: Landmarks
    mouth: MouthCrop | None


class LiveDriver:
    """Follows one face of a live camera.

    The first face is the reference, until `recalibrate` asks for another one.

    Args:
        detector: only its fast calls are used: a search would take a second.
        smooth: strength of the One-Euro filter, 0 is off.
        mouths: whether mouths are kept.
    """

    def __init__(self, detector: Detector, smooth: float = 1.0, mouths: bool = True) -> None:
        self._detector, self._smoother, self._keeps_mouths = detector, CausalSmoother(smooth), mouths
        self._raw: Landmarks | None = None  # as it was last detected
        self._last: tuple[Landmarks, MouthCrop | None] | None = None  # smoothed
        self._reference: Landmarks | None = None
        self._turns = 0  # quarter turns counterclockwise that make a face upright: a camera may hang upside down
        self._mouths: deque[MouthCrop] = deque(maxlen=_COLOR_FRAMES)
        self._time = self._seen_time = 0.0  # of the last frame, and of the last one with a face
        self._rest_share = 0.0  # of the reference in the face, 0 to 1

    def recalibrate(self) -> None:
        """Makes the next detected face the reference."""
        self._reference = None

    def mirror(self, width: float) -> None:
        """Mirrors what is known of the driver, before frames come mirrored or no more so.

        Args:
            width: of a frame, pixels.
        """
        self._raw = self._raw and mirrored(self._raw, width)
        self._reference = self._reference and mirrored(self._reference, width)
        self._turns = -self._turns % 4
        self._last = self._last and (mirrored(self._last[0], width), self._last[1])
        self._smoother.reset()

    def update(self, frame: np.ndarray, time: float) -> LiveFace | None:
        """Returns the driver in the next frame, None before the first face.

        Args:
            frame: uint8 RGB [H, W, 3].
            time: when the camera took it, seconds.
        """
        face, seconds, self._time = self._detect(frame), time - self._time, time
        if face is not None:
            self._last, self._seen_time = (self._smooth(face, time), self._mouth(frame, face)), time
            self._reference = self._reference or self._last[0]
        if self._last is None:
            return None
        landmarks, mouth = self._last
        reference = self._reference or landmarks
        if time - self._seen_time > _HOLD_S:
            self._rest_share = min(self._rest_share + seconds / _EASE_BACK_S, 1.0)
        elif face is not None:
            self._rest_share = max(self._rest_share - seconds / _EASE_IN_S, 0.0)
        return LiveFace(_between(landmarks, reference, self._rest_share), reference, mouth)

    def _detect(self, frame: np.ndarray) -> Landmarks | None:
        """Returns the face near its last position, else the face of the whole frame, or None."""
        face = self._detector.follow(frame, self._raw) if self._raw else None
        if face is None or (self._raw and has_jumped(self._raw, face)):
            seen = self._glance(frame)
            face = seen and self._detector.follow(frame, seen)
        if face is None or (self._raw and is_cut(self._raw, face)):
            self._smoother.reset()
        self._raw = face
        return face

    def _glance(self, frame: np.ndarray) -> Landmarks | None:
        """Returns about where the face is in a whole frame, or None. Until there is a reference, learns how it lies."""
        if self._reference is None:
            self._turns = turns_to_upright(frame, self._detector.glance(frame), self._detector)
        seen = self._detector.glance(turned(frame, self._turns))
        return seen and turned_back(seen, self._turns, frame.shape)

    def _smooth(self, face: Landmarks, time: float) -> Landmarks:
        return self._smoother.smooth(face, time)

    def _mouth(self, frame: np.ndarray, face: Landmarks) -> MouthCrop | None:
        """Returns the mouth with the colors of the last seconds, or None."""
        if not self._keeps_mouths:
            return None
        self._mouths.append(MouthCrop.of(frame, face))
        return self._mouths[-1].with_color_reference(*color_reference(self._mouths))


def _between(face: Landmarks, rest: Landmarks, share: float) -> Landmarks:
    """Returns a face on the way to another one, with `share` 0 to 1 of the way behind it."""
    if not share or face.has_surface != rest.has_surface:
        return face
    way = np.float32(share * share * (3 - 2 * share))  # starts and stops softly
    return Landmarks.from_array((1 - way) * face.to_array() + way * rest.to_array(), face.confidence)
