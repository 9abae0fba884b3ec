"""Soft masks."""

import numpy as np

from fewshot_heads.imaging.masks import soft_hull

SQUARE = np.array([[20, 20], [40, 20], [40, 40], [20, 40], [30, 30]])


def test_soft_hull__is_one_inside_and_zero_far_away():
    mask = soft_hull(SQUARE, 64, blur=1)
    assert mask.dtype == np.float32 and mask.shape == (64, 64)
    assert mask[30, 30] > 0.99 and mask[:10].max() == 0 and 0.3 < mask[30, 40] < 0.8


def test_soft_hull__grows_by_its_margin():
    assert soft_hull(SQUARE, 64, margin=6, blur=1)[30, 45] > 0.9 > soft_hull(SQUARE, 64, blur=1)[30, 45]
