"""Meta-learning in miniature: a moving Mona Lisa, a VGG of random weights, the tiny preset."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from fewshot_heads import BadInput, OutputError, WeightsMismatch
from fewshot_heads.datasets.batches import collate
from fewshot_heads.datasets.episodes import Episodes, EpisodeSettings
from fewshot_heads.imaging.compositing import _smooth
from fewshot_heads.training.loop import Batches, load_state, save_state, train
from fewshot_heads.training.run_state import Optim
from fewshot_heads.training.trainer import Training
from tests.footage import SPEC, TABLE, mona_footage

OPTIM = Optim(discriminator_steps=1, warmup=0)
STEADY = replace(OPTIM, eps=1e-3)  # Adam does not magnify rounding of gradients that are about zero
SETTINGS = EpisodeSettings(k_shot=2, sampling="hard", augment=1.0, patch_size=64)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clips():
    return mona_footage()


def start(clips, steps, table=TABLE, optim=OPTIM, settings=SETTINGS, batch=2):
    episodes = Episodes(clips, steps * batch, settings)
    accelerator = Accelerator(cpu=True)
    return Training(SPEC, len(episodes.identities), steps, table, optim, accelerator, settings.patch_size), episodes


def first(episodes, count=2):
    return collate([episodes[i] for i in range(count)])


def rows(path):
    return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]


def test_training_writes_its_losses_and_the_discriminator_joins_late(clips, tmp_path):
    training, episodes = start(clips, 4, optim=replace(OPTIM, adversarial_start=0.5))
    train(training, episodes, tmp_path, 2, workers=0, grid_every=4)
    log = rows(tmp_path)
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    assert "adversarial" not in log[1] and "discriminator" in log[2]
    assert (tmp_path / "grid_000004.jpg").exists()


def test_a_killed_run_goes_on_to_the_same_losses(clips, tmp_path):
    whole, episodes = start(clips, 4)
    train(whole, episodes, tmp_path / "whole", 2, workers=0)
    killed, episodes = start(clips, 4)
    folder = tmp_path / "killed"
    folder.mkdir()
    for index in range(2):
        killed.update(collate([episodes[2 * index], episodes[2 * index + 1]]))
    save_state(killed, folder / "state.pt")
    (folder / "log.jsonl").write_text('{"step": 2, "l1": 0}\n{"step": 3, "l1": 0}\n{"st')  # as a kill leaves it
    again, episodes = start(clips, 4)
    train(again, episodes, folder, 2, workers=0)
    assert [row["step"] for row in rows(folder)] == [2, 3, 4]
    assert rows(tmp_path / "whole")[2:] == rows(folder)[1:]
    for a, b in zip(whole.ema.parameters(), again.ema.parameters(), strict=True):
        assert torch.equal(a, b)


def test_any_number_of_workers_gives_the_same_run(clips, tmp_path):
    for workers in (0, 2):
        training, episodes = start(clips, 3)
        train(training, episodes, tmp_path / str(workers), 2, workers)
    assert rows(tmp_path / "0") == rows(tmp_path / "2")


def test_training_lowers_the_loss(clips):
    training, episodes = start(clips, 1000, optim=replace(OPTIM, lr=2e-3, adversarial_start=1.0))
    batch = first(episodes, 4)
    losses = [training.update(batch)["l1"] for _ in range(120)]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("sparse", [False, True])
def test_only_the_people_of_the_batch_move_in_the_table(clips, sparse):
    training, episodes = start(clips, 10, optim=replace(OPTIM, sparse_identities=sparse))
    before = training.critic.W.weight.detach().clone()
    batch = first(episodes, 1)
    training.update(batch)
    assert training.critic.W.weight.grad.is_sparse == sparse
    moved = (training.critic.W.weight.detach() != before).any(1)
    assert moved.nonzero().flatten().tolist() == batch.identity.tolist()


def test_the_match_term_draws_the_embedding_to_the_table(clips):
    table = {"l1": {"weight": 1.0}, "match": {"weight": 80.0}}
    training, episodes = start(clips, 1000, table, replace(OPTIM, lr=3e-3))
    batch = first(episodes, 4)
    losses = [training.update(batch)["match"] for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]


def test_every_parameter_learns(clips):
    training, episodes = start(clips, 10, {**TABLE, "match": {"weight": 1.0}})
    batch = first(episodes, 4)
    before = [p.detach().clone() for module in (training.networks, training.critic) for p in module.parameters()]
    for _ in range(2):
        training.update(batch)
    after = [(n, p) for module in (training.networks, training.critic) for n, p in module.named_parameters()]
    assert not [name for name, now in after if now.grad is None]
    # A bias may stand still: before a normalization it does nothing, and the two hinges can pull the score's equally.
    still = [name for (name, now), was in zip(after, before, strict=True) if torch.equal(now, was)]
    assert not [name for name in still if not name.endswith("bias")]


def test_a_loss_that_is_no_number_stops_the_run_and_is_named(clips):
    training, episodes = start(clips, 10)
    batch = first(episodes)
    batch.target[0, 0, 0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="step 0: l1"):
        training.update(batch)


def test_a_gradient_that_is_no_number_never_reaches_the_weights(clips):
    training, episodes = start(clips, 10, {"l1": {"weight": 1.0}})
    weight = training.networks.generator.stem.weight
    weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(FloatingPointError, match="step 0: a gradient is not finite"):
        training.update(first(episodes))
    assert torch.isfinite(weight).all()


def test_without_a_clip_nothing_is_clipped(clips):
    training, episodes = start(clips, 10, optim=replace(OPTIM, clip=0.0))
    before = training.networks.generator.stem.weight.detach().clone()
    training.update(first(episodes))
    assert not torch.equal(before, training.networks.generator.stem.weight)


def test_half_precision_gives_nearly_the_same_terms(clips):
    exact, episodes = start(clips, 10)
    AcceleratorState._reset_state(reset_partial_state=True)  # its precision is fixed for the process
    try:
        rough = Training(SPEC, 2, 10, TABLE, OPTIM, Accelerator(cpu=True, mixed_precision="bf16"), SETTINGS.patch_size)
        batch = first(episodes)
        one, other = exact.update(batch), rough.update(batch)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in rough.networks.parameters())
    assert one["l1"] != other["l1"]
    assert list(other.values()) == pytest.approx(list(one.values()), rel=0.05, abs=0.02)


def test_a_run_that_goes_on_takes_todays_rates(clips, tmp_path):
    training, _ = start(clips, 4)
    training.update(first(Episodes(clips, 4, SETTINGS)))
    save_state(training, tmp_path / "state.pt")
    later, _ = start(clips, 4, optim=replace(OPTIM, lr_discriminator=0.5, eps=1e-3, betas_discriminator=(0.5, 0.9)))
    load_state(later, tmp_path / "state.pt")
    (group,) = later.critic_optimizer.param_groups
    assert (group["lr"], group["eps"], tuple(group["betas"])) == (0.5, 1e-3, (0.5, 0.9))
    assert later.critic_optimizer.state_dict()["state"], "and keeps the moments"


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_what_smooths_the_layers_compiles_with_its_gradient():
    smooth = torch.compile(_smooth)
    maps = torch.rand(2, 3, 16, 16).to(memory_format=torch.channels_last)
    one, other = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    smooth(one).square().sum().backward()
    _smooth(other).square().sum().backward()
    torch.testing.assert_close(one.grad, other.grad)


def test_what_is_compiled_is_what_is_called(clips):
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    training, episodes = start(clips, 10)
    for part in (training.networks.embedder, training.networks.generator, training.critic.discriminator):
        part.compile(backend=count)
    training.update(first(episodes))
    assert len(graphs) >= 3


def test_what_a_worker_cannot_read_is_one_line(clips, tmp_path):
    class Damaged(Episodes):
        def __getitem__(self, index):
            raise BadInput("shard.tar: frame 3 is damaged; fetch it again")

    training, _ = start(clips, 3)
    with pytest.raises(BadInput) as caught:
        train(training, Damaged(clips, 6, SETTINGS), tmp_path, 2, workers=1)
    assert str(caught.value) == "shard.tar: frame 3 is damaged; fetch it again"


def test_a_broken_checkpoint_is_named(clips, tmp_path):
    (tmp_path / "state.pt").write_bytes(b"half of it")
    training, episodes = start(clips, 3)
    with pytest.raises(WeightsMismatch, match=r"state\.pt"):
        train(training, episodes, tmp_path, 2, workers=0)


def test_a_checkpoint_of_another_architecture_is_refused(clips, tmp_path):
    training, episodes = start(clips, 4)
    save_state(training, tmp_path / "state.pt")
    wider = {**SPEC, "embedder": {"channels": [8, 8]}}
    other = Training(wider, 2, 4, TABLE, OPTIM, Accelerator(cpu=True))
    with pytest.raises(WeightsMismatch, match=r"state\.pt: does not fit this run"):
        train(other, episodes, tmp_path, 2, workers=0)


def test_a_full_disk_keeps_the_last_good_checkpoint(clips, tmp_path, monkeypatch):
    training, _ = start(clips, 4)
    save_state(training, tmp_path / "state.pt")
    good = (tmp_path / "state.pt").read_bytes()

    def full(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="disk is full"):
        save_state(training, tmp_path / "state.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]
    assert (tmp_path / "state.pt").read_bytes() == good


def test_processes_share_a_batch_without_overlap():
    shares = [list(Batches(1, 3, 4, rank, 2)) for rank in range(2)]
    assert shares == [[[4, 5], [8, 9]], [[6, 7], [10, 11]]]
    with pytest.raises(BadInput, match="batch=3 cannot be shared by 2"):
        Batches(0, 1, 3, 0, 2)


def test_two_processes_are_one_with_twice_the_batch(clips, tmp_path):
    """Each of two processes takes one episode of every two; losses and weights are those of one process."""
    training, episodes = start(clips, 3, optim=STEADY)
    train(training, episodes, tmp_path / "one", 2, workers=0)
    code = (
        "from pathlib import Path; from tests.training.test_trainer import *\n"
        "training, episodes = start(mona_footage(), 3, optim=STEADY)\n"
        f"train(training, episodes, Path({str(tmp_path / 'two')!r}), 2, workers=0)"
    )
    script = tmp_path / "two.py"
    script.write_text(code)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    for one, two in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert one.keys() == two.keys()
        assert list(two.values()) == pytest.approx(list(one.values()), rel=2e-3, abs=2e-4)
