"""`python -m fewshot_heads.meta_learn` in miniature, on shards as `prepare` writes them."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fewshot_heads import read_image
from fewshot_heads.cli.config import load_config
from fewshot_heads.landmarks import N_POINTS
from fewshot_heads.meta_learn import main
from fewshot_heads.models.backends import open_inpainters, open_parser
from fewshot_heads.models.checkpoint import load_checkpoint, load_discriminator
from fewshot_heads.training.meta_learning import same_architecture
from tests.footage import StandInSegmenter, laughing_footage, mona_footage, pack

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two people of five frames in one shard."""
    return pack(tmp_path_factory.mktemp("prepared"))


def learn(*arguments):
    return main([str(argument) for argument in (*arguments, "experiment=smoke")])


def test_the_command_trains_and_its_weights_load(prepared, tmp_path, capsys):
    assert (
        learn(prepared, "-o", tmp_path / "run", "data.holdout_fraction=0.4", "data.k_shot=1", "tensorboard=true") == 0
    )
    checkpoint = load_checkpoint(capsys.readouterr().out.strip().splitlines()[-1])
    account = checkpoint.about["training"]
    assert (checkpoint.name, account["steps"], account["identities"]) == ("tiny", 4, 2)
    assert load_discriminator(checkpoint) is not None
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "unseen_l1" in row] == [2, 4]
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    grid = read_image(tmp_path / "run" / "grid_000004.jpg")
    assert grid.shape == (4 * 128, 8 * 128, 3)
    assert np.ptp(grid) > 50


@pytest.mark.parametrize("part", ["mouth", "eyes", "lids"])
def test_what_opens_is_learnt_by_the_same_command(driver_frames, tmp_path, capsys, part):
    prepared = pack(tmp_path, clips=laughing_footage(driver_frames))
    small = ("model.channels=[4,8]", "model.discriminator.channels=[4]", "runtime.workers=0", "steps=3", "batch=2")
    run = [str(prepared), "-o", str(tmp_path / "run"), f"experiment={part}", "optim.adversarial_start=0.4", *small]
    run += ["criterion.vgg19.weight=0"]
    assert main([*run, "data.holdout_fraction=0.4", "grid_every=3"]) == 0
    path = capsys.readouterr().out.strip().splitlines()[-1]
    assert open_inpainters([path])[part].size == 64
    checkpoint = load_checkpoint(path)
    assert checkpoint.name == part and load_discriminator(checkpoint) is not None
    assert not any("people" in name for name in load_file(path)), "the people of the data stay in the run"
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert "discriminator" not in log[1] and 0.6 < log[2]["discriminator"] < 0.8, "two that are alike: log 2"
    assert read_image(tmp_path / "run" / "grid_000003.jpg").shape == (4 * 64, 8 * 64, 3)


def test_a_mouth_has_no_embedding_to_match(prepared, tmp_path, capsys):
    offline = ("criterion.vgg19.weight=0", "criterion.vggface.weight=0")
    assert main([str(prepared), "-o", str(tmp_path / "run"), "experiment=mouth", "criterion=paper_ft", *offline]) == 1
    assert "an inpainter has no e_hat" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_data_without_the_skin_between_the_landmarks_is_named(prepared, tmp_path, caplog):
    before = pack(tmp_path, N_POINTS)
    assert learn(before, "-o", tmp_path / "run", "steps=1", "data.k_shot=1") == 0
    assert f"{before}: has no skin between the landmarks" in caplog.text
    caplog.clear()
    assert learn(prepared, "-o", tmp_path / "other", "steps=1", "data.k_shot=1") == 0
    assert "skin" not in caplog.text


def test_the_shipped_weights_are_where_a_run_of_their_preset_starts():
    preset = load_config("meta_learn", ["model=realtime"])["model"]
    assert load_checkpoint(preset.pop("name")).about["spec"] == preset


def test_weights_are_where_another_run_starts(prepared, tmp_path, capsys):
    assert learn(prepared, "-o", tmp_path / "one", "data.patch_size=null") == 0
    first = capsys.readouterr().out.strip().splitlines()[-1]
    assert learn(prepared, "-o", tmp_path / "two", f"start={first}", "steps=1", "optim.lr=0", "optim.ema=0") == 0
    second = capsys.readouterr().out.strip().splitlines()[-1]
    assert load_checkpoint(second).about["training"]["start"] == load_checkpoint(first).sha256
    one, two = load_file(first), load_file(second)  # not the hashes: a step of 0 turns -0 into 0
    assert all(torch.equal(one[name], two[name]) for name in one), "nothing was learnt at a rate of 0"


def test_a_run_may_begin_on_small_pictures(prepared, tmp_path, capsys):
    small = pack(tmp_path, clips=mona_footage(size=64))
    assert learn(small, "-o", tmp_path / "one", "model.size=64", "data.patch_size=null", "steps=1") == 0
    first = capsys.readouterr().out.strip().splitlines()[-1]
    options = ("-o", tmp_path / "two", f"start={first}", "data.patch_size=null", "steps=1")
    assert learn(prepared, *options) == 0
    assert load_checkpoint(capsys.readouterr().out.strip().splitlines()[-1]).about["spec"]["size"] == 128


def test_the_paper_networks_of_another_size_are_others():
    spec = load_config("meta_learn", ["model=paper"])["model"]
    assert same_architecture(spec, spec) and not same_architecture({**spec, "size": 128}, spec)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["data.identities=[nobody]"], 1, "no footage of nobody"),
        (["data.k_shot=8"], 1, "data.k_shot=8: takes clips of 9 frames or more, the longest of 2 has 5"),
        (["model=realtime"], 1, "pictures of 128 px; use model.size=128 or prepare anew"),
        (["start=realtime"], 1, "init_from=realtime: has another architecture than model=tiny"),
        (["criterion.vggface.weight=1"], 1, "criterion.vggface.weights=FILE"),
        (["criterion.vgg19.weight=1", "criterion.vgg19.weights=absent.npz"], 1, "absent.npz"),
        (["steps=0"], 1, "steps=0: nothing would be learnt"),
        (["runtime.device=cuda:77"], 1, "runtime.device=cuda:77 is not there; add runtime=cpu"),
        (["optim.schedule=linear"], 2, "optim.schedule=linear: expected constant or cosine"),
        (["criterion.l2.weight=1"], 2, "unknown option 'criterion.l2.weight=1'"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(prepared, tmp_path, capsys, arguments, code, said):
    assert learn(prepared, "-o", tmp_path / "run", *arguments) == code
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]
    assert not (tmp_path / "run").exists()


def test_a_run_is_a_folder(prepared, tmp_path, capsys):
    (tmp_path / "run").write_text("something else")
    assert learn(prepared, "-o", tmp_path / "run") == 1
    assert "run: a file; -o names the folder" in capsys.readouterr().err


def test_a_folder_that_was_not_prepared_is_named(tmp_path, capsys):
    assert learn(tmp_path, "-o", tmp_path / "run") == 1
    assert "fewshot_heads.prepare" in capsys.readouterr().err


def test_parsing_is_learnt_by_the_same_command(prepared, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fewshot_heads.datasets.parsing_labels.Segmenter", StandInSegmenter)
    size = ("model.size=128", "model.channels=[4,6,8]", "runtime.workers=0", "steps=2", "batch=2", "grid_every=2")
    run = [str(prepared), "-o", str(tmp_path / "run"), "experiment=parsing", *size]
    assert main(run) == 1
    assert "data.person_segmenter and data.hair_segmenter" in capsys.readouterr().err
    run += ["data.person_segmenter=selfie.tflite", "data.hair_segmenter=hair.tflite"]
    assert main([*run, "data.holdout_fraction=0.4"]) == 0
    checkpoint = load_checkpoint(capsys.readouterr().out.strip().splitlines()[-1])
    assert open_parser(checkpoint.path).size == 128 and load_discriminator(checkpoint) is None
    assert "selfie" not in json.dumps(checkpoint.about), "the user's files stay private"
    assert len(list((tmp_path / "run" / "labels").glob("*.png"))) > 1
    assert read_image(tmp_path / "run" / "grid_000002.jpg").shape == (5 * 128, 8 * 128, 3)
    assert main([*run, "criterion=l1"]) == 1
    assert "experiment=parsing" in capsys.readouterr().err
