"""Weights that cannot be read are named in one line."""

from __future__ import annotations

import os

import pytest
import torch

from fewshot_heads.errors import BadInput
from fewshot_heads.features.faceres import FaceFeatures
from fewshot_heads.features.mobilefacenet import MobileFaceNet
from fewshot_heads.features.vgg19 import VGG19Features


@pytest.mark.parametrize("content", [b"not a zip", b"PK\x03\x04 broken"])
@pytest.mark.parametrize("extractor", [VGG19Features, FaceFeatures, MobileFaceNet])
def test_loading__names_a_file_without_weights_in_one_line(tmp_path, extractor, content):
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"weights\.bin") as caught:
        extractor(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="absent"):
        extractor(tmp_path / "absent")


@pytest.mark.parametrize("state", [None, [1], {"weight": 3}, {1: {2: 3}}])
def test_loading__names_a_state_dict_of_something_else(tmp_path, state):
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(BadInput, match=r"weights\.pt: .*; name its weights"):
        MobileFaceNet(tmp_path / "weights.pt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("extractor", [VGG19Features, FaceFeatures, MobileFaceNet])
@pytest.mark.parametrize("suffix", ["npz", "pt"])
def test_loading__waits_for_no_pipe(tmp_path, extractor, suffix):
    os.mkfifo(tmp_path / f"pipe.{suffix}")
    with pytest.raises(BadInput, match="a pipe or a device"):
        extractor(tmp_path / f"pipe.{suffix}")
