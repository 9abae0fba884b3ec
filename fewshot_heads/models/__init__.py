"""The networks, built from a plain specification: `build({"size": 256, "embedding": 256, ...})`."""

from __future__ import annotations

from typing import Any

from torch import nn

from fewshot_heads.models.blocks import channels_last
from fewshot_heads.models.embedder import Embedder
from fewshot_heads.models.generator import Generator


class Networks(nn.Module):
    """What a checkpoint holds: `embedder` and `generator`."""

    def __init__(self, embedder: Embedder, generator: Generator):
        super().__init__()
        self.embedder, self.generator = embedder, generator
        channels_last(self)


def build(spec: dict[str, Any]) -> Networks:
    """The networks from keyword arguments; never from a class path read out of a file.

    spec: {"size": pixels, "embedding": length of e_hat, "embedder": {"channels": [...]},
    "generator": {"channels": [...]}}.
    """
    embedding = spec["embedding"]
    return Networks(
        Embedder(tuple(spec["embedder"]["channels"]), embedding),
        Generator(tuple(spec["generator"]["channels"]), embedding, spec["size"]),
    )
