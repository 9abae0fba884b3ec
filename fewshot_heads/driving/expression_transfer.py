"""Gives the faces of a video the expression of a driver, while heads keep the pose of their video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fewshot_heads.driving.reference import reference_face
from fewshot_heads.driving.retargeting import Retargeter
from fewshot_heads.errors import BadInput, check_gain
from fewshot_heads.landmarks import LIPS, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace

_MAX_FACES = 500  # of a shot, from which its usual face is computed


class ExpressionTransfer:
    """Gives the faces of a video the expression of a driver.

    The expression of the video is replaced, not added to: in each frame, the driver's change is applied to the usual
    face of the shot, the median of its faces, in the pose of the frame.

    Args:
        faces: one for each frame of the video, pixels of the shot's crop.
        shots: frame ranges (first, end) between the cuts of the video.
        driver: one face for each frame of the driver, pixels of a crop.
        expression: strength of the expression, 1 as in the driver.
        reference: driver frame that corresponds to the usual face. None chooses it for each shot.
        parts: as in `retargeting.retarget`.

    Raises:
        BadInput: an option is out of range.
    """

    def __init__(
        self, faces: Sequence[Landmarks], shots: Sequence[tuple[int, int]], driver: Sequence[Landmarks],
        expression: float = 1.0, reference: int | None = None, parts: Mapping[str, float] | None = None,
    ):  # fmt: skip
        check_gain("expression", expression)
        if reference is not None and reference not in range(len(driver)):
            raise BadInput(f"reference={reference}, but the driver has frames 0 to {len(driver) - 1}; name one of them")
        self._faces, self._driver, self._expression = faces, driver, expression
        self._parts, self._may_smile = parts, reference is None
        self._usual: list[np.ndarray] = []  # shape of each frame's shot
        self._references: list[CanonicalFace] = []  # the driver's face that corresponds to it
        for first, end in shots:
            chosen = np.unique(np.linspace(first, end - 1, _MAX_FACES).astype(int))
            shots_faces = [CanonicalFace.of(faces[i]) for i in chosen]
            usual = np.median([face.shape for face in shots_faces], axis=0)
            if reference is None:
                face = reference_face(replace(shots_faces[0], shape=usual), driver)
            else:
                face = CanonicalFace.of(driver[reference])
            self._usual += [usual] * (end - first)
            self._references += [face] * (end - first)

    def face(self, frame: int, still_mouth: bool = False) -> Landmarks:
        """Returns the face of a frame of the video with the expression of the driver's frame, pixels of the crop.

        Args:
            frame: index of the frame.
            still_mouth: whether the lips keep their shape in the frame.
        """
        own, shape = self._faces[frame], self._usual[frame]
        own_face = CanonicalFace.of(own)
        if still_mouth:
            shape = shape.copy()
            shape[LIPS] = own_face.shape[LIPS]
        usual = Landmarks.from_array(own_face.pose.apply(shape), own.confidence)
        retargeter = Retargeter(
            usual, self._references[frame], still_mouth=still_mouth, parts=self._parts, may_smile=self._may_smile
        )
        return retargeter.retarget(self._driver[frame], pose=0.0, expression=self._expression)
