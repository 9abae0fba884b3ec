"""Weights that cannot be read are named in one line."""

from __future__ import annotations

import pytest

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
