"""dlib, torch-fidelity and lpips: what they compute, and what is said without them."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch

from fewshot_heads import metrics
from fewshot_heads.errors import BadInput
from fewshot_heads.features import face_embedders, inception_lpips
from tests.networks import image_pair


@pytest.fixture
def pictures():
    return image_pair()


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("dlib", lambda: face_embedders.DlibResNet()),
        ("torch_fidelity", lambda: inception_lpips.InceptionFeatures("weights.pth")),
        ("lpips", lambda: inception_lpips.LPIPS()),
    ],
)
def test_optional_packages__a_missing_one_names_the_extra(monkeypatch, package, make):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadInput, match=r"pip install 'fewshot_heads\[benchmark\]'") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_dlib__without_its_weights_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace())
    monkeypatch.setattr(face_embedders.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"face_recognition_models.*fewshot_heads\[benchmark\]"):
        face_embedders.DlibResNet()


def test_inception__features_are_those_of_the_file(monkeypatch, tmp_path, pictures):
    fidelity = pytest.importorskip("torch_fidelity")
    torch.manual_seed(0)
    torch.save({}, tmp_path / "empty.pth")
    with monkeypatch.context() as patch:  # it makes no network without a file
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = fidelity.FeatureExtractorInceptionV3("fid", ["2048"], str(tmp_path / "empty.pth")).eval()
    torch.save(network.state_dict(), tmp_path / "fid.pth")
    expected = network(torch.from_numpy(pictures[0]).permute(0, 3, 1, 2))[0].numpy()
    features = inception_lpips.InceptionFeatures(tmp_path / "fid.pth", batch=1)
    assert features(pictures[0]).shape == (2, 2048)
    np.testing.assert_allclose(features(pictures[0]), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(features(pictures[0] / 255), features(pictures[0]))
    both = inception_lpips.InceptionFeatures(tmp_path / "fid.pth", batch=2)(pictures[0])
    np.testing.assert_allclose(both, expected, rtol=1e-3, atol=1e-5, err_msg="depends on the batch")
    with pytest.raises(BadInput, match=r"empty\.pth: not the weights"):
        inception_lpips.InceptionFeatures(tmp_path / "empty.pth")


def test_inception__never_unpickles_other_objects(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch_fidelity", SimpleNamespace())  # it would fail with another error
    torch.save({"weights": SimpleNamespace()}, tmp_path / "odd.pth")
    for line in ("odd.pth: not the weights of FID's Inception", "absent.pth: no such file"):
        with pytest.raises(BadInput, match=line) as caught:
            inception_lpips.InceptionFeatures(tmp_path / line.partition(":")[0])
        assert "\n" not in str(caught.value)


def lpips_stand_in(net, verbose):
    """Returns a network whose distance is the mean absolute difference, [N, 1, 1, 1] as in lpips."""
    return lambda a, b: (a - b).abs().mean((1, 2, 3), keepdim=True)


def test_lpips__gives_one_value_per_image(monkeypatch, pictures):
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=lpips_stand_in))
    values = inception_lpips.LPIPS("vgg", batch=1)(*pictures)
    np.testing.assert_allclose(values, 2 * metrics.l1(*pictures), rtol=1e-5)  # the network's range is [-1,1]
    with pytest.raises(BadInput, match="alex, vgg or squeeze"):
        inception_lpips.LPIPS("resnet")


def test_lpips__without_its_weights_waits_a_bounded_time_and_names_the_folder(monkeypatch):
    patience = []

    def refused(net, verbose):
        patience.append(socket.getdefaulttimeout())
        raise URLError("connection refused")

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=refused))
    before = socket.getdefaulttimeout()
    with pytest.raises(BadInput, match=r"alex \(.*connection refused.*checkpoints") as caught:
        inception_lpips.LPIPS()
    assert "\n" not in str(caught.value)
    assert patience[0] is not None and patience[0] <= 30
    assert socket.getdefaulttimeout() == before
