"""What OpenCV computes in inference mode is what torch computes elsewhere."""

import pytest
import torch

from fewshot_heads.imaging.warping import identity_grid, resize, resize_flow, sample
from fewshot_heads.models.generator import _smooth

FLOW = 0.1 * torch.rand(3, 20, 20, 2, generator=torch.Generator().manual_seed(1))
MAPS = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(2))


def in_inference(function, *arguments):
    with torch.inference_mode():
        return function(*arguments).clone()


@pytest.mark.parametrize("size", [10, 13, 40, 51])
def test_maps_and_flows_of_any_size_are_those_of_torch(size):
    torch.testing.assert_close(in_inference(resize, MAPS, size), resize(MAPS, size), atol=1e-6, rtol=0)
    torch.testing.assert_close(in_inference(resize_flow, FLOW, size), resize_flow(FLOW, size), atol=1e-6, rtol=0)


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_samples_inside_and_beyond_an_image_are_those_of_torch(channels, padding):
    image = torch.rand(3, channels, 20, 24, generator=torch.Generator().manual_seed(3))
    flow = identity_grid(20, FLOW) + 8 * (FLOW - 0.05)
    assert flow.abs().max() > 1.2
    found = in_inference(sample, image, flow, padding)
    torch.testing.assert_close(found, sample(image, flow, padding), atol=1e-4, rtol=0)


def test_a_smoothed_residual_is_that_of_torch():
    torch.testing.assert_close(in_inference(_smooth, MAPS), _smooth(MAPS), atol=1e-6, rtol=0)


def test_other_numbers_and_strides_are_resized_too():
    assert in_inference(resize, MAPS.double(), 40).dtype == torch.float64
    turned = MAPS.transpose(2, 3)
    torch.testing.assert_close(in_inference(resize, turned, 40), resize(turned.contiguous(), 40), atol=1e-6, rtol=0)


def test_the_kept_grid_is_no_part_of_a_training_step():
    in_inference(identity_grid, 16, FLOW)
    flow = FLOW.clone().requires_grad_()
    (resize_flow(flow, 16) * identity_grid(16, flow)).sum().backward()
    assert flow.grad is not None


def test_the_kept_grid_stays_as_it_is_after_a_resized_flow():
    with torch.inference_mode():
        before = identity_grid(40, FLOW).clone()
        resize_flow(FLOW, 40)
        assert torch.equal(identity_grid(40, FLOW), before)
