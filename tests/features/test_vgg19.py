"""VGG-19 computes what its weights say, and refuses the weights of another network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fewshot_heads.errors import BadInput
from fewshot_heads.features.vgg19 import BGR_MEAN, VGG19Features
from tests.networks import save_vgg19


@pytest.fixture
def vgg_file(tmp_path):
    return save_vgg19(tmp_path / "vgg.npz")


def test_vgg19__equals_the_layout_of_the_file(vgg_file):
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    features = VGG19Features(vgg_file).to(memory_format=torch.channels_last)(images)
    assert [tuple(feature.shape[1:]) for feature in features] == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]
    with np.load(vgg_file) as file:
        arrays = {name: torch.from_numpy(file[name]).float() for name in file.files}
    x = (images[:, [2, 1, 0]] + 1) * 127.5 - torch.tensor(BGR_MEAN).view(1, 3, 1, 1)
    for name in ("conv1_1", "conv1_2", "pool", "conv2_1"):
        is_pool = name == "pool"
        x = F.max_pool2d(x, 2) if is_pool else F.conv2d(x, arrays[f"{name}.weight"], arrays[f"{name}.bias"], padding=1)
        x = x.relu()
    torch.testing.assert_close(features[1], x, rtol=1e-4, atol=1e-3)


def test_vgg19__refuses_weights_with_a_missing_array(tmp_path):
    np.savez(tmp_path / "half.npz", **{"conv1_1.weight": np.zeros((64, 3, 3, 3))})
    with pytest.raises(BadInput, match=r"conv1_1\.bias"):
        VGG19Features(tmp_path / "half.npz")


def test_vgg19__refuses_weights_of_another_shape(tmp_path):
    layers = ("1_1", "1_2", "2_1", "2_2", "3_1")
    arrays = {f"conv{layer}.weight": np.zeros((8, 8, 3, 3)) for layer in layers}
    np.savez(tmp_path / "other.npz", **arrays, **{f"conv{layer}.bias": np.zeros(8) for layer in layers})
    with pytest.raises(BadInput, match=r"other\.npz: conv1_1 is \(8, 8, 3, 3\), not a 3x3 of 3 channels"):
        VGG19Features(tmp_path / "other.npz")
