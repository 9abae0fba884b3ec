"""Edits a head by controls of its face, with the renderer of animation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property

import cv2
import numpy as np

from fewshot_heads.driving.covered_mouth import mouth_is_covered
from fewshot_heads.driving.face_editing import edit_face
from fewshot_heads.driving.motion import Motion
from fewshot_heads.driving.mouth_crop import MouthCrop
from fewshot_heads.driving.retargeting import retarget
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.pose import RIGID
from fewshot_heads.media.timed_frames import DEFAULT_RATE
from fewshot_heads.rendering.animation import FrameRenderer

# Mean difference of two renderings, gray levels, up to which a place keeps the pixels of the picture, and from which it
# shows the rendering. A rendering that changes nothing is softer than a large picture: 28 to 47 dB.
_KEPT_LEVELS, _CHANGED_LEVELS = 1.0, 4.0
# Shift of the head, in sizes of the face, from which no pixel is kept: hair that the matte lacks would stay.
_MOVED_FACES = 0.04
# The face with a margin, in its sizes, and the blur of its border: an expression changes nothing beyond.
_FACE_MARGIN_FACES, _FACE_BLUR_FACES = 0.1, 0.04
_CHANGE_SIGMA_FACES = 0.015  # standard deviation of the area in which a difference counts, in sizes of the face


class Editor:
    """Edits one head. What depends on the head alone is computed once, so each further edit is fast.

    An edit is a face that the renderer of animation shows. Where it changes nothing, the picture keeps its own pixels,
    so an edit of strength 0 is the picture itself.

    Args:
        renderer: of the head, in the source image.
    """

    def __init__(self, renderer: FrameRenderer):
        self.renderer, self.head = renderer, renderer.head
        self._source = self.head.landmarks[0]
        self._sigma = _CHANGE_SIGMA_FACES * self._source.size / self.head.crop.scale

    def edit(self, values: Mapping[str, float]) -> np.ndarray:
        """Returns the picture with an edited face, uint8 RGB [H, W, 3], turned as the source image was given.

        Args:
            values: control -> value, see `driving.controls.CONTROLS`.

        Raises:
            BadInput: a control does not exist, or its value is out of range.
        """
        (face,) = self._faces([values])
        return self.head.as_given(self.head.picture if face is self._source else self.show(face))

    def show(self, face: Landmarks, mouth: MouthCrop | None = None) -> np.ndarray:
        """Returns the upright picture with another face, uint8 RGB [H, W, 3].

        Args:
            face: pixels of the crop.
            mouth: of a driver, for a mouth that is closed in the picture; None leaves it to the inpainter.
        """
        return self._kept(self._rendered(face, mouth), face)

    def loop(self, values: Mapping[str, float], count: int) -> Iterator[np.ndarray]:
        """Yields a loop of frames that ease from the picture to an edit and back; the last precedes the first.

        Args:
            values: control -> value at the middle of the loop.
            count: number of frames.

        Raises:
            BadInput: a control does not exist, or its value is out of range.
        """
        faces = self._faces(_loop(values, count))
        for frame, face in zip(self.renderer.frames(faces), faces, strict=True):
            yield self.head.as_given(self._kept(frame, face))

    def motion(self, values: Mapping[str, float], count: int = 2, rate: Fraction = DEFAULT_RATE) -> Motion:
        """Returns an edit as a driver for any portrait: the frames of `loop` as a motion, which needs no rendering.

        The first frame is the head's own face, the reference. With two frames, the second is the edit: a pose.

        Args:
            values: control -> value at the middle of the loop.
            count: number of frames.
            rate: frames per second.

        Raises:
            BadInput: a control does not exist, or its value is out of range.
        """
        faces = [self.head.crop.from_crop(edit_face(self._source, edit)) for edit in _loop(values, count)]
        size = self.head.picture.shape[:2]
        return Motion(faces, [], [(0, count)], size, "an edit", rate=rate, reference=0)

    def _faces(self, edits: Sequence[Mapping[str, float]]) -> list[Landmarks]:
        """Returns the face of each edit, pixels of the crop, limited as in an animation."""
        edited = [edit_face(self._source, values) for values in edits]
        faces = retarget(
            self._source, [self._source, *edited], reference=0, side=self.renderer.size, still_body=True,
            still_mouth=self._mouth_is_covered,
        )  # fmt: skip
        return [self._source if face is self._source else faces[i + 1] for i, face in enumerate(edited)]

    def _kept(self, frame: np.ndarray, face: Landmarks) -> np.ndarray:
        """Returns a rendering with the pixels of the picture wherever it does not differ from `_unchanged`.

        Args:
            frame: uint8 [H, W, 3], the rendering of a face.
            face: pixels of the crop.
        """
        change = cv2.absdiff(frame, self._unchanged).max(2).astype(np.float32)
        change = cv2.GaussianBlur(change, (0, 0), self._sigma)
        points = np.vstack([face.to_array(), self._source.to_array()])[:, :2]
        margin, blur = (share * self._source.size for share in (_FACE_MARGIN_FACES, _FACE_BLUR_FACES))
        near = self._in_picture(soft_hull(points, self.renderer.size, margin, blur))
        moved = np.linalg.norm(face.points[RIGID] - self._source.points[RIGID], axis=1).mean() / self._source.size
        shown = np.clip((change - _KEPT_LEVELS) / (_CHANGED_LEVELS - _KEPT_LEVELS), 0, 1) * near
        shown = np.maximum(shown, min(moved / _MOVED_FACES, 1))[..., None]
        picture = self.head.picture.astype(np.float32)
        return (picture + shown * (frame - picture) + 0.5).astype(np.uint8)

    def _in_picture(self, mask: np.ndarray) -> np.ndarray:
        """Returns a mask [S, S] of the crop as one of the picture, [H, W], 0 outside the crop."""
        crop, (height, width) = self.head.crop, self.head.picture.shape[:2]
        scale = crop.side / crop.size
        offset = scale / 2 - 0.5  # of the centers of pixels
        matrix = np.array([[scale, 0, crop.left + offset], [0, scale, crop.top + offset]])
        return cv2.warpAffine(mask, matrix, (width, height))

    @cached_property
    def _mouth_is_covered(self) -> bool:
        """Whether something covers the mouth, which then stays as it is."""
        return mouth_is_covered(self.head)

    @cached_property
    def _unchanged(self) -> np.ndarray:
        """The rendering of the source's own face, uint8 [H, W, 3]."""
        return self._rendered(self._source)

    def _rendered(self, face: Landmarks, mouth: MouthCrop | None = None) -> np.ndarray:
        """The rendering of a face, with the mouth of a driver or without, uint8 [H, W, 3]."""
        return self.renderer.paste(self.renderer.render([face], None if mouth is None else [mouth])[0])


def _loop(values: Mapping[str, float], count: int) -> list[Mapping[str, float]]:
    """Returns edits that ease from strength 0 to an edit and back; the last precedes the first."""
    strengths = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)
    return [{name: strength * value for name, value in values.items()} for strength in strengths]
