"""Closes the eyelids of 3D landmarks."""

from __future__ import annotations

import numpy as np

from fewshot_heads.landmarks import LEFT_IRIS, RIGHT_IRIS

UPPER_LID_SHARE = 0.85  # of a blink: the upper lid travels 85 % of the gap, the lower lid the rest
UPPER_LIDS = np.array([[37, 38], [43, 44]])  # iBUG points of the right and the left eye
LOWER_LIDS = np.array([[41, 40], [47, 46]])  # each below its point of the upper lid
_IRISES = [RIGHT_IRIS, LEFT_IRIS]


def close_lids(
    faces: np.ndarray, closed: np.ndarray, upper_share: float = UPPER_LID_SHARE, move_irises: bool = False
) -> np.ndarray:
    """Returns faces whose lids are closed by a share of the gap between them.

    Args:
        faces: [T, 70 or more, 3], landmarks in the head's frame.
        closed: [T] or, for the right and the left eye, [T, 2]. 0 leaves the lids, 1 brings them together.
        upper_share: share of the gap that the upper lid travels, 0 to 1.
        move_irises: whether the irises move to the line where the lids meet.
    """
    result = faces.copy()
    amount = closed.reshape(len(faces), -1, 1, 1)
    gap = amount * (faces[:, LOWER_LIDS] - faces[:, UPPER_LIDS])
    result[:, UPPER_LIDS] += upper_share * gap
    result[:, LOWER_LIDS] -= (1 - upper_share) * gap
    if move_irises:
        meeting_line = faces[:, LOWER_LIDS] - (1 - upper_share) * (faces[:, LOWER_LIDS] - faces[:, UPPER_LIDS])
        result[:, _IRISES] += amount[..., 0] * (meeting_line.mean(2) - faces[:, _IRISES])
    return result
