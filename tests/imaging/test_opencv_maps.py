"""What OpenCV computes of arrays is what torch computes of tensors."""

import numpy as np
import pytest
import torch

from fewshot_heads.imaging.compositing import Correction, WarpInputs, _smooth, correct
from fewshot_heads.imaging.warping import grid_positions, identity_grid, resize, resize_flow, sample

RANDOM = np.random.default_rng(1)
FLOW = 0.1 * RANDOM.random((3, 20, 20, 2), np.float32)
MAPS = RANDOM.random((2, 3, 20, 20), np.float32)


def both(function, *arguments):
    """Results of a function for arrays and for tensors, as arrays."""
    tensors = [torch.from_numpy(each) if isinstance(each, np.ndarray) else each for each in arguments]
    return function(*arguments), function(*tensors).numpy()


@pytest.mark.parametrize("size", [10, 13, 40, 51])
def test_maps_and_flows_of_any_size_are_those_of_torch(size):
    for function, maps in ((resize, MAPS), (resize, MAPS.swapaxes(2, 3)), (resize_flow, FLOW)):
        found, expected = both(function, maps, size)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_samples_inside_and_beyond_an_image_are_those_of_torch(channels, padding):
    flow = grid_positions(20) + 8 * (FLOW - 0.05)
    assert np.abs(flow).max() > 1.2
    found, expected = both(sample, RANDOM.random((3, channels, 20, 24), np.float32), flow, padding)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_smoothed_residual_is_that_of_torch():
    np.testing.assert_allclose(*both(_smooth, MAPS), atol=1e-6)


def test_both_grids_are_the_same():
    np.testing.assert_array_equal(grid_positions(40), identity_grid(40, torch.zeros(1))[0].numpy())


@pytest.mark.parametrize("resolution", [32, 48])
def test_a_composite_of_arrays_is_that_of_tensors(resolution):
    def draw(*shape):
        return RANDOM.random(shape, np.float32)

    def predict(images, hint, style):
        return images[:, :3], images[:, 3:5].swapaxes(1, 2).swapaxes(2, 3) / 9

    def frame(stickman, style, colors, *layers):
        texture = WarpInputs(*layers)
        small = texture._replace(images=texture.images[..., :32, :32], background=texture.background[..., :32, :32])
        corrected = correct(predict, stickman, style, small)
        assert isinstance(corrected, Correction)
        return corrected.colored(colors).composite(texture)

    flows = grid_positions(16) + 0.1 * draw(2, 2, 16, 16, 2)
    layers = (draw(2, 2, 4, resolution, resolution), flows, draw(2, 2, 16, 16), draw(2, 1, 16, 16))
    layers += (draw(2, 3, resolution, resolution), draw(2, 1, 32, 32))
    np.testing.assert_allclose(*both(frame, draw(2, 3, 32, 32), draw(2, 8), draw(3, 3), *layers), atol=2e-3)


def test_the_network_sees_half_of_the_crops_resolution():
    """Of a chessboard of pixels it sees the mean, at any resolution of the images."""
    seen = []

    def predict(images, hint, style):
        seen.append((images, hint))
        return np.zeros((1, 3, 16, 16), np.float32), np.zeros((1, 16, 16, 2), np.float32)

    chessboard = np.float32(np.indices((32, 32)).sum(0) % 2 * np.ones((1, 3, 1, 1)))
    views, full = np.ones((1, 1, 4, 32, 32), np.float32), np.ones((1, 1, 16, 16), np.float32)
    views[:, 0, :3] = chessboard
    texture = WarpInputs(
        views, grid_positions(16)[None, None], full, full, chessboard, np.zeros((1, 1, 32, 32), np.float32)
    )
    frame = correct(predict, chessboard, np.zeros((1, 8), np.float32), texture).composite(texture)
    ((images, hint),) = seen
    assert images.shape == (1, 9, 16, 16) and hint.shape == (1, 3, 8, 8)
    np.testing.assert_allclose(images, 0.5, atol=1e-6)
    np.testing.assert_allclose(frame, chessboard, atol=1e-6)
