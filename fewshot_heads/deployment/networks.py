"""The networks as they are exported: plain tensors in, plain tensors out, each with a name and a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fewshot_heads.errors import WeightsMismatch
from fewshot_heads.imaging.compositing import WarpInputs
from fewshot_heads.imaging.warping import identity_grid
from fewshot_heads.models.building import Networks
from fewshot_heads.models.checkpoint import Checkpoint
from fewshot_heads.models.generator import Generator
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.rendering.head_surface import CELLS

VIEWS = 2  # of a head from one source image: the image and its mirror image
# Sizes of dynamic axes in the traced call. The resolution is not that of the crop, or a resize would be left out.
_EXAMPLE = {"batch": 2, "shots": 2, "resolution": 320}
_RGB, _UNIT = (-1.0, 1.0), (0.0, 1.0)

Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Port:
    """An input or an output of a network, float32.

    Attributes:
        name: its name in the file.
        shape: a number for each fixed axis, a name for each dynamic axis.
        meaning: what the values are.
        range: smallest and largest value; None if there are no limits.
    """

    name: str
    shape: Shape
    meaning: str
    range: tuple[float, float] | None = None

    @property
    def dynamic_axes(self) -> dict[int, str]:
        """Axis -> name of each dynamic axis."""
        return {axis: side for axis, side in enumerate(self.shape) if isinstance(side, str)}

    def example(self) -> Tensor:
        """Returns values to trace with."""
        values = torch.rand([_EXAMPLE[side] if isinstance(side, str) else side for side in self.shape])
        if self.name == "flows":  # within the images, so that the values can be compared
            return identity_grid(CELLS, values) + 0.1 * (values - 0.5)
        low, high = self.range or _RGB
        return low + (high - low) * values


@dataclass(frozen=True)
class ExportedNetwork:
    """A network with its ports.

    Attributes:
        name: name of the file without suffix.
        module: takes the inputs in their order, returns a tensor or a tuple of the outputs.
        inputs: the inputs.
        outputs: the outputs.
        weights: hash of the weights file.
    """

    name: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: str

    def example(self) -> tuple[Tensor, ...]:
        """Returns inputs to trace with."""
        return tuple(port.example() for port in self.inputs)


class _Embedder(nn.Module):
    """From source images to e_hat and style."""

    def __init__(self, networks: Networks):
        super().__init__()
        self.embedder, self.project = networks.embedder, networks.generator.project

    def forward(self, frames: Tensor, stickmen: Tensor) -> tuple[Tensor, Tensor]:
        e_hat = self.embedder(frames, stickmen).mean(1)
        return e_hat, self.project(e_hat)


class _Generator(nn.Module):
    """From source pixels and a stickman to a frame: warps, U-Net and compositing."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator

    def forward(
        self, stickman: Tensor, style: Tensor, images: Tensor, flows: Tensor, weights: Tensor, confidence: Tensor,
        background: Tensor, disocclusion: Tensor, color_matrix: Tensor, large_images: Tensor, large_background: Tensor,
    ) -> Tensor:  # fmt: skip
        texture = WarpInputs(images, flows, weights, confidence, background, disocclusion)
        correction = self.generator.correct(stickman, style, texture).colored(color_matrix)
        return correction.composite(texture._replace(images=large_images, background=large_background))


class _Inpainter(nn.Module):
    """From an image with a hole to what fills it."""

    def __init__(self, inpainter: Inpainter):
        super().__init__()
        self.inpainter = inpainter

    def forward(self, picture: Tensor, hole: Tensor, stickman: Tensor) -> Tensor:
        return self.inpainter.paint(picture, hole, stickman)


def exported_networks(checkpoint: Checkpoint, inpainters: Mapping[str, Checkpoint]) -> list[ExportedNetwork]:
    """Returns embedder, generator and inpainters as they are exported.

    Args:
        checkpoint: weights of the realtime preset, on the processor.
        inpainters: weights by face region.

    Raises:
        WeightsMismatch: the weights are of another preset.
    """
    networks = checkpoint.networks
    if not isinstance(networks, Networks) or not networks.generator.textured:
        raise WeightsMismatch(f"{checkpoint.path}: not exported; take weights of the realtime preset")
    size = checkpoint.about["spec"]["size"]
    painters = [exported_inpainter(part, inpainter) for part, inpainter in inpainters.items()]
    return [exported_embedder(checkpoint), _generator(checkpoint, size), *painters]


def exported_embedder(checkpoint: Checkpoint) -> ExportedNetwork:
    """Returns the embedder of a checkpoint.

    Args:
        checkpoint: weights of the realtime preset, on the processor.
    """
    size = checkpoint.about["spec"]["size"]
    project = checkpoint.networks.generator.project
    images: Shape = ("batch", "shots", 3, size, size)
    inputs = (
        Port("frames", images, "RGB crops around the head in the source images of one person", _RGB),
        Port("stickmen", images, "landmarks of the crops, drawn as colored lines", _RGB),
    )
    outputs = (
        Port("e_hat", ("batch", project.in_features), "identity, the mean over the source images"),
        Port("style", ("batch", project.out_features), "scales and shifts of the generator's AdaIN layers"),
    )
    return ExportedNetwork("embedder", _Embedder(checkpoint.networks), inputs, outputs, checkpoint.sha256)


def _generator(checkpoint: Checkpoint, size: int) -> ExportedNetwork:
    generator = checkpoint.networks.generator
    picture: Shape = ("batch", 3, size, size)
    half, large = size // 2, ("batch", 3, "resolution", "resolution")
    views = "head layer of the source image and of its mirror image: RGB from -1 to 1, then alpha from 0 to 1"
    behind = "RGB, body and background behind the head, complete"
    inputs = (
        Port("stickman", picture, "landmarks of the frame with the eyes as open as in the source image", _RGB),
        Port("style", ("batch", generator.project.out_features), "output of the embedder"),
        Port("images", ("batch", VIEWS, 4, half, half), views, _RGB),
        Port(
            "flows", ("batch", VIEWS, CELLS, CELLS, 2),
            "for each cell of the frame, x and y of the pixel in the view; -1 and 1 are the outer borders of the crop",
        ),
        Port("weights", ("batch", VIEWS, CELLS, CELLS), "share of each view; they sum to 1 where the head is", _UNIT),
        Port("confidence", ("batch", 1, CELLS, CELLS), "sharpness of what the views contribute", _UNIT),
        Port("background", ("batch", 3, half, half), behind, _RGB),
        Port("disocclusion", ("batch", 1, size, size), "1 where a closed mouth or eye opens", _UNIT),
        Port("color_matrix", (3, 3), "from neutral colors to those of the source image; often the identity"),
        Port("large_images", ("batch", VIEWS, 4, "resolution", "resolution"), f"{views}; R x R", _RGB),
        Port("large_background", large, f"{behind}; R x R", _RGB),
    )  # fmt: skip
    outputs = (Port("frame", large, "RGB, about -1 to 1; irises, eyelids and mouth are not applied yet"),)
    return ExportedNetwork("generator", _Generator(generator), inputs, outputs, checkpoint.sha256)


def exported_inpainter(part: str, checkpoint: Checkpoint) -> ExportedNetwork:
    """Returns an inpainter.

    Args:
        part: "mouth" or "eyes".
        checkpoint: its weights, on the processor.
    """
    inpainter: Any = checkpoint.networks
    picture, mask = ("batch", 3, inpainter.size, inpainter.size), ("batch", 1, inpainter.size, inpainter.size)
    inputs = (
        Port("picture", picture, f"RGB crop around the {part}, without the color cast of the source image", _RGB),
        Port("hole", mask, "1 where the picture is filled; its edge may be soft", _UNIT),
        Port("stickman", picture, "landmarks of the crop, drawn as colored lines", _RGB),
    )
    outputs = (Port("inside", picture, "RGB, to be blended into the hole", _RGB),)
    return ExportedNetwork(f"inpainter_{part}", _Inpainter(inpainter), inputs, outputs, checkpoint.sha256)


def exported_parser(checkpoint: Checkpoint) -> ExportedNetwork:
    """Returns the network that parses portraits.

    Args:
        checkpoint: its weights, on the processor.
    """
    parser: Any = checkpoint.networks
    shape: Shape = ("batch", 3, parser.size, parser.size)
    logits = Port("logits", ("batch", 2, *shape[2:]), "of the person, and of the head where there is a person")
    return ExportedNetwork("parser", parser, (Port("image", shape, "RGB", _RGB),), (logits,), checkpoint.sha256)
