"""The networks, built from a plain specification: `build({"size": 256, "embedding": 256, ...})`."""

from __future__ import annotations

from typing import Any

from torch import nn

from fewshot_heads.models.embedder import Embedder
from fewshot_heads.models.generator import Generator


def build(spec: dict[str, Any]) -> nn.ModuleDict:
    """{"embedder", "generator"} from keyword arguments; never from a class path read out of a file.

    spec: {"size": pixels, "embedding": length of e_hat, "embedder": {"channels": [...]},
    "generator": {"channels": [...]}}.
    """
    embedding = spec["embedding"]
    return nn.ModuleDict(
        {
            "embedder": Embedder(tuple(spec["embedder"]["channels"]), embedding),
            "generator": Generator(tuple(spec["generator"]["channels"]), embedding, spec["size"]),
        }
    )
