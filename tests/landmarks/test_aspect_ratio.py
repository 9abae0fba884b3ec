"""Each measure of an open eye or mouth, on outlines whose ratio is known."""

import numpy as np
import pytest

from fewshot_heads.landmarks import RIGHT_EYE
from fewshot_heads.landmarks.aspect_ratio import (
    eye_aspect_ratio,
    eye_aspect_ratios,
    eye_is_open,
    mouth_aspect_ratios,
    region_area_ratio,
    smaller_eye_aspect_ratio,
    unsigned_eye_aspect_ratio,
)
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from tests.faces import face


def eye(height: float, angle: float = 0.0) -> np.ndarray:
    """An eye 40 pixels wide whose lids are `height` pixels apart, turned in the image by an angle in radians."""
    points = np.array([[0, 0], [15, -height / 2], [25, -height / 2], [40, 0], [25, height / 2], [15, height / 2]])
    cosine, sine = np.cos(angle), np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]]) + [100, 80]


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0])
@pytest.mark.parametrize("measure", [eye_aspect_ratio, unsigned_eye_aspect_ratio])
def test_eye_aspect_ratio__is_height_over_width_at_any_angle(measure, angle):
    assert measure(eye(12, angle)) == pytest.approx(0.3)
    assert measure(eye(0, angle)) == pytest.approx(0)


def test_eye_aspect_ratio__is_negative_for_crossed_lids_and_the_unsigned_one_is_not():
    assert eye_aspect_ratio(eye(-4)) == pytest.approx(-0.1)
    assert unsigned_eye_aspect_ratio(eye(-4)) == pytest.approx(0.1)


def test_eye_is_open__needs_an_area_of_8_percent_of_the_squared_width():
    # The outline is a hexagon with an area of height * (40 + 10) / 2.
    height = 0.08 * 40**2 / 25
    assert eye_is_open(eye(1.01 * height)) and not eye_is_open(eye(0.99 * height))


def test_region_area_ratio__is_1_for_a_square_and_finite_for_a_point():
    square = np.array([[0, 0], [3, 0], [3, 3], [0, 3]], float)
    assert region_area_ratio(square) == pytest.approx(1)
    assert region_area_ratio(np.zeros((6, 2))) == 0


def test_smaller_eye_aspect_ratio__is_that_of_the_eye_that_is_less_open():
    points = face().points.copy()
    points[RIGHT_EYE, 1] = points[RIGHT_EYE, 1].mean()
    assert smaller_eye_aspect_ratio(points) == pytest.approx(0, abs=1e-6)


def test_eye_aspect_ratios__in_the_same_pose_are_those_of_the_points():
    turned = face((0.1, 0.2, 0.1))
    expected = [eye_aspect_ratio(turned.points[36:42]), eye_aspect_ratio(turned.points[42:48])]
    np.testing.assert_allclose(eye_aspect_ratios(turned, turned), expected, rtol=1e-4)


def test_mouth_aspect_ratios__agree_with_the_canonical_face_from_the_front():
    faces = [face(), face(mouth=0.3)]
    expected = [CanonicalFace.of(landmarks).mouth_opening() for landmarks in faces]
    np.testing.assert_allclose(mouth_aspect_ratios(np.stack([f.to_array() for f in faces])), expected, atol=0.02)
