"""What runs the networks: the models of OpenVINO, without torch, or torch."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fewshot_heads import BadInput, Reenactor, WeightsMismatch
from fewshot_heads.models import backends
from fewshot_heads.models.backends import open_generator, open_inpainters, open_parser
from fewshot_heads.models.network import Network
from fewshot_heads.models.openvino_models import SPECIFICATION, model_paths
from fewshot_heads.models.torch_networks import TorchRun
from fewshot_heads.models.weights_file import read_weights


@pytest.fixture
def copied(tmp_path):
    """The shipped weights in a folder of their own, with their models."""
    weights = read_weights()[0]
    models = [path for network in ("embedder", "generator") for path in model_paths(weights.path, network)]
    for path in (weights.path, *(weights.path.with_suffix(suffix) for suffix in (".json", SPECIFICATION)), *models):
        shutil.copy(path, tmp_path)
    return replace(weights, path=tmp_path / weights.path.name)


@pytest.fixture(scope="module")
def fast(reenactor) -> Reenactor:
    return Reenactor.from_pretrained(device="cpu", backend="openvino")


def in_torch(network: Network) -> bool:
    return isinstance(network.run, TorchRun)


def test_frames_of_8_bit_look_like_those_of_32_bit(fast, reenactor, mona_path, driver_frames):
    motion = reenactor.track(driver_frames)
    exact, eight_bit = (
        np.stack(list(each.animate(each.embed([mona_path]), motion))).astype(int) for each in (reenactor, fast)
    )
    assert in_torch(reenactor.generator) and not in_torch(fast.generator)
    difference = np.abs(exact - eight_bit)
    assert 0 < difference.mean() < 0.25 and np.percentile(difference, 99.9) <= 3


def test_models_of_32_bit_compute_what_torch_does(fast, reenactor):
    random = np.random.default_rng(0)

    def image(channels, *shape):
        return random.random((*shape, channels, shape[-1], shape[-1]), np.float32)[..., : shape[-1]] * 2 - 1

    pairs = [(fast.embedder, reenactor.embedder, [image(3, 1, 2, 256)[:, :, 0]] * 2)]
    crop, hole = image(3, 2, 64)[:, 0], random.random((2, 1, 64, 64), np.float32)
    parts = ("mouth", "eyes", "lids")
    pairs += [(fast.inpainters[part], reenactor.inpainters[part], [crop, hole, -crop]) for part in parts]
    for shipped, exact, inputs in pairs:
        assert not in_torch(shipped) and in_torch(exact) and shipped.size == exact.size
        for found, expected in zip(shipped(*inputs), exact(*inputs), strict=True):
            np.testing.assert_allclose(found, expected, atol=5e-4)  # a sixteenth of a level


def test_a_fine_tuned_head_runs_in_torch(fast, reenactor, mona_path, driver_frames):
    weights = reenactor.checkpoint.networks.generator.state_dict()
    head = replace(reenactor.embed([mona_path]), tuned={name: value.numpy() for name, value in weights.items()})
    motion = reenactor.track(driver_frames[:4])
    exact, shown = (np.stack(list(each.animate(head, motion, mouth="driver"))) for each in (reenactor, fast))
    assert np.abs(exact.astype(int) - shown).max() <= 1  # the inpainter of the eyes runs elsewhere


def test_auto_takes_openvino_without_a_gpu(monkeypatch):
    monkeypatch.setattr(backends, "_has_gpu", lambda: False)
    assert not in_torch(open_generator(read_weights()[0])[1])
    assert not in_torch(open_parser()) and not any(map(in_torch, open_inpainters().values()))


def test_weights_without_models_run_in_torch(copied):
    copied.path.with_suffix(SPECIFICATION).unlink()
    assert in_torch(open_generator(copied, "cpu")[1])
    with pytest.raises(BadInput, match="benchmarks.quantize"):
        open_generator(copied, "cpu", "openvino")


def test_another_device_than_the_processor_has_no_openvino():
    with pytest.raises(BadInput, match="device=cpu"):
        open_generator(read_weights()[0], "cuda", "openvino")


def test_an_unknown_backend_is_refused():
    with pytest.raises(BadInput, match="'openvino'"):
        open_generator(read_weights()[0], "cpu", "onnxruntime")


def test_weights_without_models_and_without_torch_name_what_is_missing(copied, monkeypatch):
    copied.path.with_suffix(SPECIFICATION).unlink()
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"openvino\.json: not there; fetch it again"):
        open_generator(copied, "cpu")


def test_models_that_lack_a_network_are_refused(copied):
    path = copied.path.with_suffix(SPECIFICATION)
    path.write_text(path.read_text().replace('"generator"', '"generated"'))
    with pytest.raises(WeightsMismatch, match="fetch them again"):
        open_generator(copied, "cpu", "openvino")


@pytest.mark.parametrize("suffix", [SPECIFICATION, ".embedder.bin", ".generator.xml"])
def test_a_changed_file_is_refused(copied, suffix):
    path = copied.path.with_suffix(suffix)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsMismatch, match="fetch them again"):
        open_generator(copied, "cpu", "openvino")


def test_models_of_other_weights_are_refused(copied):
    with pytest.raises(WeightsMismatch, match="fetch them again"):
        open_generator(replace(copied, sha256="0" * 64), "cpu", "openvino")


WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None  # an import of it fails
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def without_torch(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs a module in a process in which torch cannot be imported."""
    return subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("command", ["animate", "edit", "track"])
def test_commands_that_animate_need_no_torch(command, mona_path, driver_path, tmp_path):
    output = tmp_path / {"animate": "out.mp4", "edit": "out.png", "track": "motion.safetensors"}[command]
    words = {"animate": [mona_path, driver_path], "edit": [mona_path, "smile=.5"], "track": [driver_path]}[command]
    done = without_torch(f"fewshot_heads.{command}", *map(str, words), "-o", str(output))
    assert done.returncode == 0, done.stderr
    assert output.stat().st_size > 10_000


@pytest.mark.parametrize("command", ["fine_tune", "creative.morph", "meta_learn"])
def test_commands_that_need_torch_say_so_in_a_line(command, mona_path, tmp_path):
    extra = "train" if command == "meta_learn" else "torch"
    sources = {"fine_tune": [mona_path], "creative.morph": [mona_path, mona_path], "meta_learn": [mona_path.parent]}
    output = tmp_path / {"fine_tune": "head.safetensors", "creative.morph": "out.mp4", "meta_learn": "run"}[command]
    done = without_torch(f"fewshot_heads.{command}", *map(str, sources[command]), "-o", str(output))
    assert done.returncode == 1 and f"pip install 'fewshot_heads[{extra}]'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())
