"""MediaPipe's segmenters, which are not in the repository: what is made of their answers."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fewshot_heads import BadInput
from fewshot_heads.features.segmenters import Segmenter


def stand_in(monkeypatch, inputs, outputs, answer):
    """Puts a network of given shapes in LiteRT's place."""

    class Interpreter:
        def __init__(self, path, num_threads):
            self.data = None

        def allocate_tensors(self):
            pass

        def get_input_details(self):
            return [{"index": 0, "shape": np.array([1, 16, 16, inputs])}]

        def get_output_details(self):
            return [{"index": 1, "shape": np.array([1, 16, 16, outputs])}]

        def set_tensor(self, index, data):
            self.data = data

        def invoke(self):
            pass

        def get_tensor(self, index):
            return answer(self.data)

    monkeypatch.setitem(sys.modules, "ai_edge_litert", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", SimpleNamespace(Interpreter=Interpreter))


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Files of the names, which must be there before a network is read."""
    monkeypatch.chdir(tmp_path)
    for name in ("selfie", "hair", "other"):
        (tmp_path / f"{name}.tflite").write_bytes(b"a network")


def test_a_selfie_segmenter_s_answer_is_averaged_with_that_of_the_mirror_image(monkeypatch):
    stand_in(monkeypatch, 3, 1, lambda data: np.tile(np.linspace(0, 1, 16)[None, None, :, None], (1, 16, 1, 1)))
    matte = Segmenter("selfie.tflite").matte(np.zeros((32, 48, 3), np.uint8))
    assert matte.shape == (32, 48)
    np.testing.assert_allclose(matte, 0.5, atol=1e-6)


def test_a_hair_segmenter_reads_its_first_answer(monkeypatch):
    stand_in(monkeypatch, 4, 2, lambda data: np.concatenate([0 * data[..., 3:], 1 + 4 * data[..., 3:]], -1))
    matte = Segmenter("hair.tflite").matte(np.zeros((16, 16, 3), np.uint8))
    first = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(matte, 1 / (1 + np.exp(-1 - 4 * first)), atol=1e-5)


def test_other_networks_and_a_missing_package_are_named(monkeypatch, tmp_path):
    stand_in(monkeypatch, 3, 2, lambda data: data)
    with pytest.raises(BadInput, match="3 channels in, 2 out"):
        Segmenter("other.tflite")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(BadInput, match=r"fewshot_heads\[creative\]"):
        Segmenter("selfie.tflite")
