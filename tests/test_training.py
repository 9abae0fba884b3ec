"""Training in miniature: clips of a moving Mona Lisa, a VGG of random weights, the tiny preset."""

import json

import numpy as np
import pytest
import torch

from fewshot_heads import BadInput, read_image, write_image
from fewshot_heads.checkpoint import load_checkpoint
from fewshot_heads.criteria import hinge_discriminator, hinge_generator, weighted_l1
from fewshot_heads.datasets.clips import MIRROR, Pairs, unpack
from fewshot_heads.extractors import VGG19Features
from fewshot_heads.landmarks.geometry import MEAN_HEAD
from fewshot_heads.meta_learn import main
from fewshot_heads.training import Settings, Training, train
from tests.conftest import EXAMPLES

SPEC = {"size": 128, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]}}


@pytest.fixture(scope="module")
def clips_folder(tmp_path_factory):
    """Two identities of three pictures each, cut at different places."""
    folder, mona = tmp_path_factory.mktemp("clips"), read_image(EXAMPLES / "mona_lisa.jpg")
    for name, image in (("mona", mona), ("mirrored", np.ascontiguousarray(mona[:, ::-1]))):
        (folder / name).mkdir()
        for i, (top, left) in enumerate(((20, 20), (30, 40), (40, 30))):
            write_image(folder / name / f"{i}.png", np.ascontiguousarray(image[top : top + 240, left : left + 240]))
    return folder


@pytest.fixture(scope="module")
def vgg_path(tmp_path_factory):
    random = np.random.default_rng(0)
    sizes = {"conv1_1": (3, 8), "conv1_2": (8, 8), "conv2_1": (8, 8), "conv2_2": (8, 8), "conv3_1": (8, 8)}
    arrays = {}
    for layer, (inputs, outputs) in sizes.items():
        arrays[f"{layer}.weight"] = random.normal(0, 0.1, (outputs, inputs, 3, 3)).astype(np.float32)
        arrays[f"{layer}.bias"] = np.zeros(outputs, np.float32)
    path = tmp_path_factory.mktemp("vgg") / "vgg.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def clips(clips_folder, tmp_path_factory):
    return unpack(clips_folder, tmp_path_factory.mktemp("unpacked"), 128)


def start(clips, vgg_path, steps):
    settings = Settings(steps=steps, batch=2, adversarial_from=0.5, texture_dropout=0.0)
    pairs = Pairs(clips, steps * settings.batch)
    return Training(SPEC, len(pairs.identities), settings, VGG19Features(vgg_path), "cpu"), pairs


def test_pictures_of_one_folder_are_one_identity_with_landmarks(clips):
    assert [clip.identity for clip in clips] == ["mirrored", "mona"]
    assert clips[0].frames.shape == (3, 128, 128, 3) and clips[0].landmarks.shape == (3, 70, 3)


def test_a_folder_without_clips_is_named(tmp_path):
    with pytest.raises(BadInput, match="no usable clip"):
        unpack(tmp_path, tmp_path / "cache")


def test_the_mirror_map_is_its_own_inverse_and_mirrors_the_mean_head():
    assert (MIRROR[MIRROR] == np.arange(70)).all()
    np.testing.assert_allclose(MEAN_HEAD[MIRROR] * [-1, 1, 1], MEAN_HEAD, atol=0.02)


def test_a_sample_depends_on_seed_and_index_alone(clips):
    one, other, another_seed = Pairs(clips, 10)[7], Pairs(clips, 99)[7], Pairs(clips, 10, seed=1)[7]
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert not torch.equal(one["driver"], another_seed["driver"])


def test_training_writes_its_losses_and_the_discriminator_joins_late(clips, vgg_path, tmp_path):
    training, pairs = start(clips, vgg_path, steps=4)
    train(training, pairs, tmp_path, workers=0, look_every=4)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    assert "adversarial" not in log[1] and "discriminator" in log[2]
    assert (tmp_path / "grid_000004.jpg").exists()


def test_a_killed_run_goes_on_to_the_same_losses(clips, vgg_path, tmp_path):
    whole, pairs = start(clips, vgg_path, steps=4)
    train(whole, pairs, tmp_path / "whole", workers=0)
    killed, pairs = start(clips, vgg_path, steps=4)
    (tmp_path / "killed").mkdir()
    for index in range(2):
        batch = torch.utils.data.default_collate([pairs[2 * index], pairs[2 * index + 1]])
        killed.update(batch)
    torch.save(killed.state_dict(), tmp_path / "killed" / "state.pt")
    again, pairs = start(clips, vgg_path, steps=4)
    train(again, pairs, tmp_path / "killed", workers=0)
    losses = [(tmp_path / name / "log.jsonl").read_text().splitlines()[-2:] for name in ("whole", "killed")]
    assert losses[0] == losses[1]
    for a, b in zip(whole.ema.parameters(), again.ema.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_lowers_the_loss(clips, vgg_path):
    training, pairs = start(clips, vgg_path, steps=1000)
    training.settings.lr = 5e-3
    batch = torch.utils.data.default_collate([pairs[i] for i in range(4)])
    losses = [training.update(batch)["l1"] for _ in range(60)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_a_loss_that_is_no_number_stops_the_run_and_is_named(clips, vgg_path):
    training, pairs = start(clips, vgg_path, steps=10)
    batch = torch.utils.data.default_collate([pairs[0], pairs[1]])
    batch["driver"][0, 0, 0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="step 0: l1"):
        training.update(batch)


def test_the_command_trains_and_its_weights_load(clips_folder, vgg_path, tmp_path, capsys):
    arguments = [
        clips_folder,
        "-o",
        tmp_path / "run",
        "--vgg",
        vgg_path,
        "model=tiny",
        "steps=2",
        "batch=1",
        "workers=0",
    ]
    assert main([str(a) for a in arguments]) == 0
    path = capsys.readouterr().out.strip().splitlines()[-1]
    assert load_checkpoint(path).about["training"] == {"steps": 2, "identities": 2}


def test_the_hinge_losses_have_their_values():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5])
    assert hinge_discriminator(real, fake).item() == pytest.approx(0.25 + 0.75)
    assert hinge_generator(fake).item() == pytest.approx(0.75)


def test_the_region_weights_move_the_l1():
    truth, frame = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    frame[..., :4, :4] = 1
    flat, heavy = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    heavy[..., :4, :4] = 4
    assert weighted_l1(frame, truth, flat).item() == pytest.approx(0.25)
    assert weighted_l1(frame, truth, heavy).item() == pytest.approx(4 / 7)


def test_inference_imports_nothing_of_training():
    import subprocess
    import sys

    code = "import sys, fewshot_heads.animate; print([m for m in sys.modules if m.startswith('fewshot_heads.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for module in ("training", "criteria", "datasets", "extractors", "meta_learn", "discriminator"):
        assert module not in loaded
