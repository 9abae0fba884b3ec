"""A training run and its folder: the loop, log.jsonl, state.pt to resume from, and grids to look at."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import cv2
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from fewshot_heads.datasets.batches import TrainingBatch, collate, first_samples, to_device
from fewshot_heads.datasets.episodes import Episodes
from fewshot_heads.errors import BadInput, FewshotHeadsError, WeightsMismatch, first_line
from fewshot_heads.imaging.convert import to_uint8
from fewshot_heads.media.files import atomic_write, write_error
from fewshot_heads.media.images import write_image
from fewshot_heads.media.provenance import UNNAMED
from fewshot_heads.training.forward import predict
from fewshot_heads.training.trainer import Training


class Batches:
    """Indices of each step's share of the samples: process `rank` of `count` takes its slice of every batch."""

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
    training: Training, episodes: Episodes, out: Path, batch: int, workers: int = 1, save_minutes: float = 4,
    grid_every: int = 500, tensorboard: bool = False, unseen: TrainingBatch | None = None,
) -> None:  # fmt: skip
    """Runs `training` to its last step, or goes on with it; writes state.pt, log.jsonl and grids into out.

    unseen: episodes that are not trained on, for the grids and for the log's "unseen" terms of the averaged weights.
    """
    accelerator, resume = training.accelerator, out / "state.pt"
    main = accelerator.is_main_process
    out.mkdir(parents=True, exist_ok=True)
    if resume.exists():
        load_state(training, resume)
    batches = Batches(training.step, training.steps, batch, accelerator.process_index, accelerator.num_processes)
    loader = DataLoader(
        episodes, batch_sampler=batches, num_workers=workers, prefetch_factor=4 if workers else None,
        pin_memory=accelerator.device.type == "cuda", worker_init_fn=_alone, collate_fn=collate,
    )  # fmt: skip
    saved = time.monotonic()
    bar = tqdm(
        loader, "meta-learn", initial=training.step, total=training.steps, disable=None if main else True, unit="step"
    )
    with Log(out, training.step, tensorboard) if main else nullcontext() as log:
        for episode in _plainly(bar):
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


def _plainly(episodes: Iterable[TrainingBatch]) -> Iterator[TrainingBatch]:
    """What a worker could not read is said as if there were no worker: in one line, without its traceback."""
    try:
        yield from episodes
    except FewshotHeadsError as error:
        last = [line for line in str(error).splitlines() if line.strip()][-1]
        raise type(error)(last.removeprefix(f"{type(error).__module__}.{type(error).__name__}: ")) from error


def _alone(_: int) -> None:
    """A forked worker has OpenCV's thread pool without its threads, and would wait for them for ever."""
    cv2.setNumThreads(0)


@torch.no_grad()
def measure(training: Training, unseen: TrainingBatch | None) -> dict[str, float]:
    """The content terms of the averaged weights; nothing without episodes."""
    if unseen is None:
        return {}
    unseen = to_device(unseen, training.accelerator.device)
    frame, _ = predict(training.ema, unseen)
    return {name: float(term) for name, term in training.losses.reconstruction_terms(frame, unseen).items()}


class Log:
    """log.jsonl, a line a step, and TensorBoard's scalars. Lines after the checkpoint gone on from are dropped."""

    def __init__(self, out: Path, step: int, tensorboard: bool):
        path = out / "log.jsonl"
        kept = [line for line in path.read_text().splitlines() if _step(line) <= step] if path.exists() else []
        path.write_text("".join(f"{line}\n" for line in kept))
        self.file = open(path, "a", buffering=1)  # noqa: SIM115 (closed with the log)
        self.board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise BadInput(
                    "tensorboard=true needs pip install 'fewshot_heads[train]'; or tensorboard=false"
                ) from error
            self.board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        if self.board is not None:
            self.board.close()

    def add(self, step: int, terms: Mapping[str, float]) -> None:
        if not terms:
            return
        self.file.write(json.dumps({"step": step, **{name: round(value, 5) for name, value in terms.items()}}) + "\n")
        if self.board is not None:
            for name, value in terms.items():
                self.board.add_scalar(name, value, step)


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the line a kill cut short
        return 1 << 62


def save_state(training: Training, path: Path) -> None:
    """Whole or not at all: on a full disk the last good one stays. Raises OutputError."""
    with atomic_write(path, (".pt",), overwrite=True) as part:
        try:
            with part.open("wb") as file:  # given a path, torch would not say that the disk is full
                torch.save(training.state_dict(), file)
        except (OSError, RuntimeError) as error:
            raise write_error(path, error) from error


def load_state(training: Training, path: Path) -> None:
    """Raises WeightsMismatch for a checkpoint of another architecture or number of identities, or a broken one."""
    try:
        training.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, KeyError, ValueError, EOFError, OSError, UnpicklingError) as error:
        raise WeightsMismatch(
            f"{path}: does not fit this run ({first_line(error)}); use the configuration it began with, or another -o"
        ) from error


@torch.no_grad()
def save_grid(networks: nn.Module, batch: TrainingBatch, path: Path, most: int = 8) -> None:
    """One column an episode: source, stickman, result, truth."""
    shown = to_device(first_samples(batch, most), next(networks.parameters()).device)
    frame, _ = predict(networks, shown)
    rows = [shown.source, shown.stickman, frame, shown.target]
    write_image(path, to_uint8(torch.cat([torch.cat(list(row), 2) for row in rows], 1)), UNNAMED, overwrite=True)
