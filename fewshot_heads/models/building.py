"""Builds the networks from a plain specification, such as `{"size": 256, "embedding": 256, ...}`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.compositing import WarpInputs
from fewshot_heads.models.blocks import channels_last
from fewshot_heads.models.discriminator import PatchDiscriminator
from fewshot_heads.models.embedder import Embedder
from fewshot_heads.models.generator import Generator
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.models.paper import PaperDiscriminator, PaperEmbedder, PaperGenerator
from fewshot_heads.models.parsing import Parser

ARCHITECTURES = ("realtime", "paper", "inpainter", "parsing")


class Networks(nn.Module):
    """The embedder and the generator of a checkpoint, both of one architecture.

    Args:
        embedder: network from source images and stickmen to embeddings.
        generator: network from a stickman, a style and, in the realtime preset, a texture to a frame.
    """

    embedder: Embedder | PaperEmbedder
    generator: Any  # Generator | PaperGenerator; only `Generator` is `textured` and has `correct`

    def __init__(self, embedder: Embedder | PaperEmbedder, generator: Generator | PaperGenerator):
        super().__init__()
        self.embedder, self.generator = embedder, generator
        channels_last(self)

    def forward(
        self, images: Tensor, stickmen: Tensor, stickman: Tensor, texture: WarpInputs | None
    ) -> tuple[Tensor, Tensor]:
        """Returns the frame [B, 3, S, S] and e_hat [B, E].

        Args:
            images: [B, K, 3, S, S], -1 to 1, source images of one person in each row.
            stickmen: [B, K, 3, S, S], -1 to 1, landmarks of the images.
            stickman: [B, 3, S, S], -1 to 1, landmarks of the frame.
            texture: source pixels; None for a generator that is not `textured`.
        """
        e_hat = self.embedder(images, stickmen).mean(1)
        return self.generator(stickman, self.generator.project(e_hat), texture), e_hat


def build(spec: dict[str, Any]) -> Networks | Inpainter | Parser:
    """Returns the networks of a specification, with random weights.

    The specification never names a class, so a file cannot make the library import code. All presets have `size`
    (pixels), and all but "parsing" have `embedding` (length E of e_hat, or of the vectors of people). The other keys
    depend on `architecture`:

    - "realtime": `embedder.channels`, `generator.channels`.
    - "paper": `channels` (fewest and most), `bottleneck` (number of blocks).
    - "inpainter": `part` ("mouth", "eyes" or "lids"), `channels`.
    - "parsing": `channels`.

    Args:
        spec: the specification.

    Raises:
        BadInput: another architecture.
    """
    size = spec["size"]
    if _architecture(spec) == "parsing":
        return Parser(size, tuple(spec["channels"]))
    embedding = spec["embedding"]
    if _architecture(spec) == "inpainter":
        return Inpainter(size, tuple(spec["channels"]), embedding)
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
    """Returns the discriminator that trains `build(spec)`: (frame, stickman, w [B, E]) -> (scores, features).

    Args:
        spec: as in `build`. "realtime" and "inpainter" may also have `discriminator.channels`.
    """
    if _architecture(spec) == "paper":
        return PaperDiscriminator(spec["embedding"], spec["size"], tuple(spec["channels"]))
    sizes = {key: tuple(value) for key, value in spec.get("discriminator", {}).items()}
    return PatchDiscriminator(embedding=spec["embedding"], **sizes)


def _architecture(spec: dict[str, Any]) -> str:
    architecture = spec.get("architecture", "realtime")  # the first weights files lack this key
    if architecture not in ARCHITECTURES:
        raise BadInput(f"architecture={architecture}: expected {' or '.join(ARCHITECTURES)}")
    return architecture
