"""The networks, built from a plain specification: `build({"size": 256, "embedding": 256, ...})`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fewshot_heads.errors import BadInput
from fewshot_heads.models.blocks import channels_last
from fewshot_heads.models.compositing import WarpInputs
from fewshot_heads.models.discriminator import PatchDiscriminator
from fewshot_heads.models.embedder import Embedder
from fewshot_heads.models.generator import Generator
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.models.paper import PaperDiscriminator, PaperEmbedder, PaperGenerator

ARCHITECTURES = ("realtime", "paper", "inpainter")


class Networks(nn.Module):
    """What a checkpoint holds: `embedder` and `generator`, both of one architecture."""

    embedder: Embedder | PaperEmbedder
    generator: Any  # Generator | PaperGenerator; only the first is `textured` and has `layers`

    def __init__(self, embedder: Embedder | PaperEmbedder, generator: Generator | PaperGenerator):
        super().__init__()
        self.embedder, self.generator = embedder, generator
        channels_last(self)

    def forward(
        self, images: Tensor, stickmen: Tensor, stickman: Tensor, texture: WarpInputs | None
    ) -> tuple[Tensor, Tensor]:
        """The frame [B, 3, S, S] and e_hat [B, E].

        Args:
            images: [B, K, 3, S, S] in [-1, 1], the person.
            stickmen: [B, K, 3, S, S], the landmarks of the images.
            stickman: [B, 3, S, S], the landmarks of the frame.
            texture: the images to be warped; None paints the frame from e_hat alone.
        """
        e_hat = self.embedder(images, stickmen).mean(1)
        return self.generator(stickman, self.generator.project(e_hat), texture), e_hat


def build(spec: dict[str, Any]) -> Networks | Inpainter:
    """The networks from keyword arguments; never from a class path read out of a file.

    spec: {"architecture": "realtime", "size": pixels, "embedding": length of e_hat, "embedder": {"channels": [...]},
    "generator": {"channels": [...]}}, or {"architecture": "paper", "size": ..., "embedding": ...,
    "channels": [fewest, most], "bottleneck": blocks}, or {"architecture": "inpainter", "part": "mouth" or "eyes",
    "size": ..., "channels": [...]}.
    Raises BadInput for another architecture.
    """
    embedding, size = spec["embedding"], spec["size"]
    if _architecture(spec) == "inpainter":
        return Inpainter(size, tuple(spec["channels"]))
    if _architecture(spec) == "paper":
        channels = tuple(spec["channels"])
        return Networks(
            PaperEmbedder(embedding, size, channels), PaperGenerator(embedding, size, channels, spec["bottleneck"])
        )
    return Networks(
        Embedder(tuple(spec["embedder"]["channels"]), embedding),
        Generator(tuple(spec["generator"]["channels"]), embedding, size),
    )


def build_discriminator(spec: dict[str, Any]) -> nn.Module:
    """The discriminator that trains `build(spec)`: (frame, stickman, w [B, E]) -> (scores, features).

    spec: that of `build`; the realtime one may say {"discriminator": {"channels": [...]}} besides.
    """
    if _architecture(spec) == "paper":
        return PaperDiscriminator(spec["embedding"], spec["size"], tuple(spec["channels"]))
    sizes = {key: tuple(value) for key, value in spec.get("discriminator", {}).items()}
    return PatchDiscriminator(embedding=spec["embedding"], **sizes)


def _architecture(spec: dict[str, Any]) -> str:
    architecture = spec.get("architecture", "realtime")  # the first weights files do not say
    if architecture not in ARCHITECTURES:
        raise BadInput(f"architecture={architecture}: expected {' or '.join(ARCHITECTURES)}")
    return architecture
