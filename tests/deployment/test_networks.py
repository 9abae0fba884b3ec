"""Exported networks compute what torch computes, also at other sizes than those of the traced call.

`tests/test_export.py` has the test of OpenVINO's files.
"""

import numpy as np
import onnxruntime
import pytest
import torch

from fewshot_heads.deployment import networks as deployed
from fewshot_heads.deployment.formats import write_network
from fewshot_heads.deployment.networks import exported_networks
from fewshot_heads.errors import WeightsMismatch
from fewshot_heads.models.checkpoint import load_checkpoint

NAMES = ["embedder", "generator", "inpainter_mouth", "inpainter_eyes"]
OTHER_SIZES = {"batch": 1, "shots": 3, "resolution": 512}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def networks():
    painters = {part: load_checkpoint(part) for part in ("mouth", "eyes", "lids")}
    return {network.name: network for network in exported_networks(load_checkpoint(), painters)}


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_of_torch(networks, name, tmp_path, monkeypatch):
    network = networks[name]
    torch.manual_seed(0)
    path = write_network(network, tmp_path, "onnx")[0]
    for sizes in ({}, OTHER_SIZES):
        monkeypatch.setattr(deployed, "_EXAMPLE", deployed._EXAMPLE | sizes)
        inputs = network.example()
        with torch.no_grad():
            expected = network.module(*inputs)
        named = {port.name: value.numpy() for port, value in zip(network.inputs, inputs, strict=True)}
        found = onnxruntime.InferenceSession(path).run(None, named)
        for port, a, b in zip(
            network.outputs, found, expected if len(network.outputs) > 1 else [expected], strict=True
        ):
            assert a.shape == tuple(deployed._EXAMPLE.get(side, side) for side in port.shape)
            np.testing.assert_allclose(a, b.numpy(), atol=1e-3)


def test_the_generator_is_the_library_frame_at_the_resolution_of_its_large_images(networks):
    inputs = dict(
        zip((port.name for port in networks["generator"].inputs), networks["generator"].example(), strict=True)
    )
    with torch.no_grad():
        frame = networks["generator"].module(**inputs)
    assert frame.shape[2:] == inputs["large_background"].shape[2:] != inputs["background"].shape[2:]


def test_weights_of_other_presets_are_refused():
    with pytest.raises(WeightsMismatch, match="take weights of the realtime preset$"):
        exported_networks(load_checkpoint("mouth"), {})
