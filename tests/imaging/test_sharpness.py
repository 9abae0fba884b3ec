"""Blur of a face, measured."""

import cv2
import numpy as np

from fewshot_heads.imaging.sharpness import blur_radius


def test_the_blur_of_a_face_is_measured(reenactor, mona):
    (face,) = reenactor.detectors[0].detect(mona)
    sharp = blur_radius(mona, face)
    assert sharp < 0.01
    for added in (0.01, 0.02):
        blurred = blur_radius(cv2.GaussianBlur(mona, (0, 0), added * face.size), face)
        assert abs(blurred / np.hypot(sharp, added) - 1) < 0.3


def test_a_face_of_one_color_and_a_tiny_one_have_a_blur_too(reenactor, mona):
    (face,) = reenactor.detectors[0].detect(mona)
    assert np.isfinite(blur_radius(np.full_like(mona, 90), face))
    assert np.isfinite(blur_radius(mona, face.moved(np.zeros(2, np.float32), 1e-3)))
