"""The generator with 8-bit numbers, and the choice between it and torch."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from fewshot_heads.models.fast_generator import MODEL, SPECIFICATION, FastGenerator, choose_generator

from fewshot_heads import BadInput, Reenactor, WeightsMismatch
from fewshot_heads.models import fast_generator
from fewshot_heads.models.checkpoint import load_checkpoint
from fewshot_heads.models.generator import Generator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint()


@pytest.fixture
def copied(checkpoint, tmp_path):
    """The shipped weights in a folder of their own, with their 8-bit model."""
    for suffix in (".safetensors", SPECIFICATION, *MODEL):
        shutil.copy(checkpoint.path.with_suffix(suffix), tmp_path)
    return replace(checkpoint, path=tmp_path / checkpoint.path.name)


@pytest.fixture(scope="module")
def fast(reenactor) -> Reenactor:
    return Reenactor(load_checkpoint(), "cpu", reenactor.detectors, reenactor.inpainters, "openvino")


def test_frames_of_8_bit_look_like_those_of_32_bit(fast, reenactor, mona_path, driver_frames):
    head, motion = reenactor.embed([mona_path]), reenactor.track(driver_frames)
    exact, eight_bit = (np.stack(list(each.animate(head, motion))).astype(int) for each in (reenactor, fast))
    assert isinstance(fast.generator, FastGenerator)
    difference = np.abs(exact - eight_bit)
    assert 0 < difference.mean() < 0.25 and np.percentile(difference, 99.9) <= 3


def test_a_fine_tuned_head_runs_in_torch(fast, reenactor, mona_path, driver_frames):
    head = reenactor.embed([mona_path])
    head = replace(head, tuned=reenactor.networks.generator.state_dict())
    motion = reenactor.track(driver_frames[:4])
    for exact, shown in zip(reenactor.animate(head, motion), fast.animate(head, motion), strict=True):
        np.testing.assert_array_equal(exact, shown)


def test_auto_takes_the_8_bit_model_where_the_processor_is_made_for_it(checkpoint, monkeypatch):
    for has_vnni, kind in ((True, FastGenerator), (False, Generator)):
        monkeypatch.setattr(fast_generator, "_has_vnni", lambda value=has_vnni: value)
        assert isinstance(choose_generator(checkpoint, CPU), kind)


def test_a_processor_that_torch_does_not_know_has_no_vnni(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not fast_generator._has_vnni()


def test_weights_without_an_8_bit_model_run_in_torch(copied):
    copied.path.with_suffix(SPECIFICATION).unlink()
    assert choose_generator(copied, CPU) is copied.networks.generator
    with pytest.raises(BadInput, match="benchmarks.quantize"):
        choose_generator(copied, CPU, "openvino")


def test_another_device_than_the_processor_runs_in_torch(checkpoint):
    assert choose_generator(checkpoint, torch.device("cuda")) is checkpoint.networks.generator
    with pytest.raises(BadInput, match="device=cpu"):
        choose_generator(checkpoint, torch.device("cuda"), "openvino")


def test_an_unknown_backend_is_refused(checkpoint):
    with pytest.raises(BadInput, match="'openvino'"):
        choose_generator(checkpoint, CPU, "onnxruntime")


@pytest.mark.parametrize("suffix", [SPECIFICATION, *MODEL])
def test_a_changed_file_is_refused(copied, suffix):
    path = copied.path.with_suffix(suffix)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsMismatch, match="fetch them again"):
        choose_generator(copied, CPU, "openvino")


def test_the_8_bit_model_of_other_weights_is_refused(copied):
    with pytest.raises(WeightsMismatch, match="fetch them again"):
        choose_generator(replace(copied, sha256="0" * 64), CPU, "openvino")
