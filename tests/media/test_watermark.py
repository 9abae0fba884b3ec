"""The mark in the pixels is invisible."""

from __future__ import annotations

import numpy as np
import pytest

from fewshot_heads.media.watermark import embed

HASH = "9b3ff9ad239d8736" * 4


def test_embed__is_above_42_db_and_repeats_itself(mona):
    marked = embed(mona, HASH)
    assert 10 * np.log10(255**2 / np.square(marked.astype(float) - mona).mean()) >= 42
    assert (embed(mona, HASH) == marked).all()


def test_embed__changes_a_flat_wall_by_a_level_or_two():
    wall = np.full((256, 256, 3), 140, np.uint8)
    change = embed(wall, HASH).astype(int) - wall
    assert 0.5 < change.std() < 1.1 and abs(change).max() <= 5
    assert (change == change[..., :1]).all()  # no color


@pytest.mark.parametrize("level", [0, 255])
def test_embed__stays_in_range(level):
    image = np.full((64, 64, 3), level, np.uint8)
    assert abs(embed(image, HASH).astype(int) - level).max() <= 5
