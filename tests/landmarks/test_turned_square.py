import cv2
import numpy as np
import pytest

from fewshot_heads.landmarks.turned_square import TurnedSquare


def test_an_upright_square_is_a_slice_of_its_image():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    cut = TurnedSquare(np.array([30, 18]), 20).cut(image, 20, cv2.BORDER_CONSTANT)
    np.testing.assert_array_equal(cut, image[8:28, 20:40])


def test_the_square_around_a_wide_image_has_black_above_and_below():
    image = np.full((32, 64, 3), 200, np.uint8)
    cut = TurnedSquare.around(image).cut(image, 64, cv2.BORDER_CONSTANT)
    assert (cut[16:48] == 200).all() and not cut[:16].any() and not cut[48:].any()


def test_a_quarter_turn_is_clockwise():
    image = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    square = TurnedSquare(np.array([10, 10]), 20, np.pi / 2)
    # The x axis of the square points down in the image. Pixels are sampled at their corners, so one row is outside.
    np.testing.assert_array_equal(square.cut(image, 20, cv2.BORDER_REPLICATE)[1:], np.rot90(image)[:-1])
    moved = square.to_image(np.array([[0.5, 0.5, 0], [1.0, 0.5, 0.25], [0.5, 1.0, 0]]))
    np.testing.assert_allclose(moved, [[10, 10, 0], [10, 20, 5], [0, 10, 0]], atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_points_go_back_to_where_their_pixels_were(angle):
    image: np.ndarray = np.zeros((100, 120, 3), np.uint8)
    cv2.circle(image, (70, 45), 3, (255, 255, 255), -1)
    square = TurnedSquare(np.array([64.0, 50.0]), 50.0, angle)
    weights = square.cut(image, 100, cv2.BORDER_CONSTANT)[..., 0].astype(float)
    y, x = np.indices(weights.shape)
    found = np.array([[(x * weights).sum(), (y * weights).sum()]]) / weights.sum() / 100
    np.testing.assert_allclose(square.to_image(found), [[70, 45]], atol=0.1)


def test_the_spanned_square_is_the_smallest_one_at_its_angle():
    points = np.array([[10.0, 20.0], [50.0, 20.0], [30.0, 40.0]])
    upright = TurnedSquare.spanned(points, 0.0)
    np.testing.assert_allclose(upright.center, [30, 30])
    assert upright.side == 40
    turned = TurnedSquare.spanned(points, np.pi / 4)
    inside = (points - turned.center) @ np.array([[1, 1], [-1, 1]]).T / 2**0.5
    assert np.abs(inside).max() == pytest.approx(turned.side / 2)


def test_a_square_is_cut_from_the_mirrored_image_without_mirroring_it():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    square = TurnedSquare(np.array([30.0, 28.0]), 32.0, 0.4)
    expected = square.cut(np.ascontiguousarray(image[:, ::-1]), 32, cv2.BORDER_REPLICATE).astype(int)
    found = square.cut(image, 32, cv2.BORDER_REPLICATE, mirrored=True)
    assert np.abs(found - expected).mean() < 4  # OpenCV rounds positions to 1/32 pixel


def test_squares_differ_by_place_size_and_angle():
    square = TurnedSquare(np.array([30.0, 28.0]), 30.0, 0.4)
    assert not square.differs(TurnedSquare(np.array([30.5, 28.0]), 30.5, 0.41), 0.05)
    for other in ([33.0, 28.0], 30.0, 0.4), ([30.0, 28.0], 34.0, 0.4), ([30.0, 28.0], 30.0, 0.55):
        assert square.differs(TurnedSquare(np.array(other[0]), *other[1:]), 0.05)
