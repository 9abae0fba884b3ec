"""The training loop, its checkpoint state.pt and its grids of samples."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from fewshot_heads.datasets.batches import AnyBatch, collate, first_samples, to_device
from fewshot_heads.datasets.episodes import Episodes
from fewshot_heads.errors import BadInput, FewshotHeadsError, WeightsMismatch, first_line
from fewshot_heads.features.loading import UNREADABLE, read_state_dict
from fewshot_heads.imaging.convert import to_uint8
from fewshot_heads.imaging.grid import image_grid
from fewshot_heads.media.files import atomic_write, write_error
from fewshot_heads.media.images import write_image
from fewshot_heads.media.provenance import UNNAMED
from fewshot_heads.training.forward import grid_rows, predict
from fewshot_heads.training.log import Log
from fewshot_heads.training.run_state import RunState


class Batches:
    """Sample indices of each step, for one process of a run.

    Args:
        first: first step.
        last: step before which the run ends.
        batch: samples of a step in all processes.
        rank: index of the process.
        count: number of processes.

    Raises:
        BadInput: `batch` is not a multiple of `count`.
    """

    def __init__(self, first: int, last: int, batch: int, rank: int = 0, count: int = 1):
        if batch % count:
            raise BadInput(f"batch={batch} cannot be shared by {count} processes; make it a multiple")
        self.steps, self.batch, self.share, self.rank = range(first, last), batch, batch // count, rank

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            start = step * self.batch + self.rank * self.share
            yield list(range(start, start + self.share))


def train(
    training: RunState, episodes: Episodes, out: Path, batch: int, workers: int = 1, save_minutes: float = 4,
    grid_every: int = 500, tensorboard: bool = False, unseen: AnyBatch | None = None,
) -> None:  # fmt: skip
    """Runs the training to its last step and writes state.pt, log.jsonl and grids.

    A run is resumed if the folder has a state.pt.

    Args:
        training: networks, losses and optimizers.
        episodes: the samples.
        out: folder of the run.
        batch: samples per step in all processes.
        workers: processes that load samples; 0 loads them in this process.
        save_minutes: minutes between checkpoints.
        grid_every: steps between grids.
        tensorboard: whether TensorBoard files are written too.
        unseen: held-out samples. The grids show them, and the log has their losses under "unseen_".

    Raises:
        BadInput: as `Batches` and `Log`.
        WeightsMismatch: as `load_state`.
    """
    accelerator, resume = training.accelerator, out / "state.pt"
    main = accelerator.is_main_process
    out.mkdir(parents=True, exist_ok=True)
    if resume.exists():
        load_state(training, resume)
    batches = Batches(training.step, training.steps, batch, accelerator.process_index, accelerator.num_processes)
    loader = DataLoader(
        episodes, batch_sampler=batches, num_workers=workers, prefetch_factor=4 if workers else None,
        pin_memory=accelerator.device.type == "cuda", worker_init_fn=_single_threaded, collate_fn=collate,
    )  # fmt: skip
    saved = time.monotonic()
    bar = tqdm(
        loader, "meta-learn", initial=training.step, total=training.steps, disable=None if main else True, unit="step"
    )
    with Log(out, training.step, tensorboard) if main else nullcontext() as log:
        for episode in _without_traceback(bar):
            terms = training.update(episode)
            if log is None:
                continue
            log.add(training.step, terms)
            bar.set_postfix({name: f"{value:.3g}" for name, value in list(terms.items())[:3]}, refresh=False)
            if training.step % grid_every == 0 or training.step == training.steps:
                save_grid(training.ema, unseen or episode, out / f"grid_{training.step:06d}.jpg")
                log.add(training.step, {f"unseen_{name}": value for name, value in measure(training, unseen).items()})
            if time.monotonic() - saved > 60 * save_minutes or training.step == training.steps:
                save_state(training, resume)
                saved = time.monotonic()
    accelerator.wait_for_everyone()


def _without_traceback(batches: Iterable[AnyBatch]) -> Iterator[AnyBatch]:
    """Yields the batches; reduces the error of a worker to its one-line message."""
    try:
        yield from batches
    except FewshotHeadsError as error:
        message = [line for line in str(error).splitlines() if line.strip()][-1]
        raise type(error)(message.removeprefix(f"{type(error).__module__}.{type(error).__name__}: ")) from error


def _single_threaded(_: int) -> None:
    """Turns OpenCV's threads off: a forked worker lacks them and would wait for them forever."""
    cv2.setNumThreads(0)


@torch.no_grad()
def measure(training: RunState, unseen: AnyBatch | None) -> dict[str, float]:
    """Returns the reconstruction losses of the averaged weights, before weighting.

    Args:
        training: the run.
        unseen: held-out samples; None gives no losses.
    """
    if unseen is None:
        return {}
    unseen = to_device(unseen, training.accelerator.device)
    frame, _ = predict(training.ema, unseen)
    return {name: float(term) for name, term in training.losses.reconstruction_terms(frame, unseen).items()}


def save_state(training: RunState, path: Path) -> None:
    """Writes a checkpoint; if that fails, the previous one remains.

    Args:
        training: the run.
        path: file of the checkpoint.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_write(path, (".pt",), overwrite=True) as part:
        try:
            with part.open("wb") as file:  # given a path, torch would not say that the disk is full
                torch.save(training.state_dict(), file)
        except (OSError, RuntimeError) as error:
            raise write_error(path, error) from error


def load_state(training: RunState, path: Path) -> None:
    """Restores a checkpoint.

    Args:
        training: the run, changed in place.
        path: file of the checkpoint.

    Raises:
        WeightsMismatch: a broken file, or one of another architecture or number of identities.
    """
    try:
        training.load_state_dict(read_state_dict(path))
    except UNREADABLE as error:
        raise WeightsMismatch(
            f"{path}: does not fit this run ({first_line(error)}); use the configuration it began with, or another -o"
        ) from error


@torch.no_grad()
def save_grid(networks: nn.Module, batch: AnyBatch, path: Path, most: int = 8) -> None:
    """Writes an image with one column for each sample, see `grid_rows`.

    Args:
        networks: `Networks`, `Inpainter` or `Parser`.
        batch: the samples.
        path: the image file.
        most: largest number of columns.

    Raises:
        OutputError: the file cannot be written.
    """
    samples = to_device(first_samples(batch, most), next(networks.parameters()).device)
    rows: list[list[np.ndarray]] = [list(to_uint8(images)) for images in grid_rows(networks, samples)]
    write_image(path, image_grid(rows), UNNAMED, overwrite=True)
