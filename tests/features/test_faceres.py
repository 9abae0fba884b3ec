"""The face network lets gradients reach the image and pads as TensorFlow does."""

from __future__ import annotations

import torch

from fewshot_heads.features.faceres import FaceFeatures


def test_faceres__lets_the_gradient_reach_the_image(faceres_file):
    network, images = FaceFeatures(faceres_file), torch.zeros(1, 3, 224, 224, requires_grad=True)
    features = network(images)
    embedding = features[-1].mean((2, 3))
    sides = [(feature.shape[1], feature.shape[2]) for feature in features]
    assert sides == [(64, 112), (128, 56), (256, 28), (512, 14), (1024, 7)]
    assert embedding.shape == (1, 1024)
    embedding.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert not list(network.parameters())


def test_faceres__pads_a_strided_layer_at_the_bottom_and_right_only(faceres_file):
    network = FaceFeatures(faceres_file)
    images = torch.zeros(1, 3, 224, 224)
    images[..., 0, 0] = 1.0  # reaches only the first output pixel when nothing is padded at the top left
    changed = (network._conv(images, "conv1", 2) != network._conv(torch.zeros_like(images), "conv1", 2)).any(1)[0]
    assert changed.nonzero().tolist() == [[0, 0]]
