"""The training of the parsing network: it learns, it resumes, its losses are right."""

import pytest
import torch
from accelerate import Accelerator

from fewshot_heads.datasets.batches import ParsingBatch
from fewshot_heads.models.parsing import mattes
from fewshot_heads.training.forward import grid_rows, predict
from fewshot_heads.training.parsing import ParsingLosses, ParsingTraining
from fewshot_heads.training.run_state import Optim

pytestmark = pytest.mark.usefixtures("one_thread")
SPEC = {"architecture": "parsing", "size": 32, "channels": [4, 6, 8]}
TABLE = {"person": {"weight": 1.0}, "head": {"weight": 1.0}, "l1": {"weight": 2.0}, "gradient": {"weight": 4.0}}
OPTIM = Optim(lr=1e-2, betas=(0.9, 0.999), ema=0.9)


def batch(seed):
    """Bright squares are persons, and their upper halves heads."""
    random = torch.Generator().manual_seed(seed)
    image, labels = -torch.ones(4, 3, 32, 32), torch.zeros(4, 2, 32, 32)
    for i, (top, left) in enumerate(torch.randint(2, 14, (4, 2), generator=random).tolist()):
        labels[i, 0, top : top + 16, left : left + 16] = 1
        labels[i, 1, top : top + 8, left : left + 16] = 1
        image[i, :, top : top + 16, left : left + 16] = 0.5
        image[i, 0, top : top + 8, left : left + 16] = 1.0
    return ParsingBatch(image, labels)


def training(steps=60):
    return ParsingTraining(SPEC, steps, TABLE, OPTIM, Accelerator(cpu=True))


def test_it_learns():
    run = training()
    first = run.update(batch(0))
    for step in range(1, 60):
        last = run.update(batch(step))
    assert all(last[name] < 0.6 * first[name] for name in TABLE)
    found = mattes(predict(run.ema, batch(99))[0])
    assert ((found > 0.5) == (batch(99).mattes > 0.5)).float().mean() > 0.95


def test_a_resumed_run_is_the_same_run():
    whole, first = training(), training()
    for step in range(4):
        whole.update(batch(step))
    for step in range(2):
        first.update(batch(step))
    state = first.state_dict()
    resumed = training()
    resumed.load_state_dict(state)
    for step in range(2, 4):
        resumed.update(batch(step))
    assert resumed.step == 4
    for name, value in whole.ema.state_dict().items():
        torch.testing.assert_close(value, resumed.ema.state_dict()[name])


def test_right_logits_cost_nothing_and_the_background_has_no_head_loss():
    labels = batch(0)
    right = (labels.mattes * 2 - 1) * 30
    losses = ParsingLosses(TABLE)
    assert all(value < 1e-4 for value in losses.reconstruction_terms(right, labels).values())
    right[:, 1][labels.mattes[:, 0] == 0] = 30
    assert all(value < 1e-4 for value in losses.reconstruction_terms(right, labels).values())
    wrong = losses.reconstruction_terms(-right, labels)
    assert all(value > 0.01 for value in wrong.values())
    assert losses.total(wrong) == pytest.approx(float(sum(TABLE[name]["weight"] * wrong[name] for name in TABLE)))


def test_a_grid_shows_images_and_what_is_cut_out_of_them():
    rows = grid_rows(training().ema, batch(0))
    assert len(rows) == 5 and {tuple(row.shape) for row in rows} == {(4, 3, 32, 32)}
    labels = batch(0).mattes
    assert (rows[3][labels[:, 1:].expand(-1, 3, -1, -1) == 0] == -1).all()
