"""Joins images into one: previews, contact sheets, comparisons side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def image_grid(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Joins rows of images into one image uint8 [H, W, 3].

    A row that is shorter than the widest one is filled with black on its right.

    Args:
        rows: from top to bottom. Each row lists images uint8 [h, w, 3] from left to right, all of the same height.
    """
    joined = [np.concatenate(list(row), axis=1) for row in rows]
    width = max(row.shape[1] for row in joined)
    return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in joined])
