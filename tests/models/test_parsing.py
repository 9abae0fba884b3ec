"""The network that tells head, body and background apart."""

import pytest
import torch

from fewshot_heads import BadInput, WeightsMismatch
from fewshot_heads.cli.config import load_config
from fewshot_heads.models.backends import open_parser
from fewshot_heads.models.building import build
from fewshot_heads.models.checkpoint import load_checkpoint, save_checkpoint
from fewshot_heads.models.parsing import Parser, mattes

SPEC = {"architecture": "parsing", "size": 32, "channels": [4, 6, 8]}


def test_it_finds_a_head_nowhere_but_on_a_person():
    network = build(SPEC)
    assert isinstance(network, Parser)
    found = mattes(network(torch.randn(3, 3, 32, 32)))
    assert found.shape == (3, 2, 32, 32) and found.min() >= 0 and found.max() <= 1
    assert (found[:, 1] <= found[:, 0]).all()


def test_every_output_depends_on_the_whole_image():
    network = build(SPEC).eval()
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    network(image)[0, 0, 0, 0].backward()
    assert (image.grad.abs().sum(1) > 0).float().mean() > 0.5


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(BadInput, match="multiple of 16"):
        Parser(36, (4, 6, 8))


def test_the_shipped_one_is_small():
    spec = load_config("meta_learn", ["experiment=parsing"])["model"]
    assert sum(weight.numel() for weight in build(spec).parameters()) < 600_000
    assert open_parser().size == 256


def test_weights_come_back_and_others_are_refused(tmp_path):
    network = build(SPEC)
    for _ in range(3):
        network(torch.randn(4, 3, 32, 32))  # moves the statistics of batch normalization
    path = save_checkpoint(network, tmp_path, "tiny_parsing", {"spec": SPEC})
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(load_checkpoint(path).networks(image), network.eval()(image), atol=0.02, rtol=0.02)
    with pytest.raises(WeightsMismatch, match="experiment=parsing"):
        open_parser("mouth")
