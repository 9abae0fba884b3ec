"""The square crop around a head."""

from __future__ import annotations

import numpy as np

from fewshot_heads.landmarks.crop import Crop


def test_inside_are_the_pixels_whose_centers_are_in_the_image():
    image = np.zeros((100, 80, 3), np.uint8)
    assert Crop(0.0, 0.0, 80.0, 40).inside(image) == (slice(0, 40), slice(0, 40))
    assert Crop(-20.0, -10.0, 120.0, 60).inside(image) == (slice(5, 55), slice(10, 50))
    assert Crop(-300.0, 0.0, 100.0, 50).inside(image) == (slice(0, 50), slice(50, 50))
