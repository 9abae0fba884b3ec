"""The log of a training run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewshot_heads.errors import BadInput


class Log:
    """Writes log.jsonl, one line a step, and the scalars of TensorBoard.

    Lines after the checkpoint from which the run is resumed are removed.

    Args:
        out: folder of the run.
        step: step of the checkpoint.
        tensorboard: whether TensorBoard files are written.

    Raises:
        BadInput: TensorBoard is not installed.
    """

    def __init__(self, out: Path, step: int, tensorboard: bool):
        path = out / "log.jsonl"
        lines = [line for line in path.read_text().splitlines() if _step(line) <= step] if path.exists() else []
        path.write_text("".join(f"{line}\n" for line in lines))
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
        """Writes the losses of a step; does nothing without losses.

        Args:
            step: number of the step.
            terms: losses by name.
        """
        if not terms:
            return
        self.file.write(json.dumps({"step": step, **{name: round(value, 5) for name, value in terms.items()}}) + "\n")
        if self.board is not None:
            for name, value in terms.items():
                self.board.add_scalar(name, value, step)


def _step(line: str) -> int:
    """Returns the step of a line, or a huge number for an incomplete line."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the process was killed while it wrote the line
        return 1 << 62
