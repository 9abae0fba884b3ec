"""Networks that are ready to run, whatever runs them: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Run = Callable[..., tuple[np.ndarray, ...]]  # takes and returns contiguous float32 arrays; threads may call it at once


@dataclass(frozen=True)
class Network:
    """A network that is ready to run.

    Attributes:
        size: side S of its images, pixels.
        run: what computes it.
    """

    size: int
    run: Run

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the outputs for inputs, all float32, in the network's order.

        - embedder: frames [B, K, 3, S, S] and stickmen -> e_hat [B, E], its mean over K, and style [B, P].
        - inpainter: picture [B, 3, S, S], hole [B, 1, S, S] and stickman -> what fills the hole [B, 3, S, S].
        - parser: image [B, 3, S, S] -> logits [B, 2, S, S].
        - generator: see `GeneratorNetwork`.
        """
        return self.run(*(np.ascontiguousarray(array, np.float32) for array in inputs))


@dataclass(frozen=True)
class GeneratorNetwork(Network):
    """A generator that is ready to run.

    The realtime preset takes images, hint and style and returns residual and flow, see `models.generator`. The paper's
    takes stickmen [B, 3, S, S] and style [B, P], and returns frames [B, 3, S, S].

    Attributes:
        textured: whether the generator corrects a composite of source pixels. The paper's does not.
        tuned: returns what runs the generator with other weights, those that fine-tuning made for a head.
    """

    textured: bool
    tuned: Callable[[Mapping[str, np.ndarray]], Run]


def code_shapes(embedder: Network) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of "e_hat" and "style", as an embedder makes them of any image.

    Args:
        embedder: the embedder.
    """
    blank = np.zeros((1, 1, 3, embedder.size, embedder.size), np.float32)
    e_hat, style = embedder(blank, blank)
    return {"e_hat": e_hat.shape[1:], "style": style.shape[1:]}
