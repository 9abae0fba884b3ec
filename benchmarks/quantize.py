"""Makes the 8-bit model of a generator, which `backend=openvino` takes, and says how its output differs.

python -m benchmarks.quantize [key=value ...]

model    realtime                a shipped preset, or a .safetensors file; the model is written beside it
sources  examples/mona_lisa.jpg  portraits for the calibration, separated by commas; two frames of the driver are added
driver   examples/driver.mp4     the clip that moves them
frames   20                      frames of the clip, evenly spaced
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import common
from fewshot_heads import BadInput, Reenactor, read_image, read_video
from fewshot_heads.landmarks.openvino_runtime import load_openvino, openvino_core
from fewshot_heads.media.files import atomic_write
from fewshot_heads.models.compositing import Correction, WarpInputs
from fewshot_heads.models.fast_generator import INPUTS, MODEL, SPECIFICATION
from fewshot_heads.models.generator import Generator

DEFAULTS = {"model": "realtime", "sources": "examples/mona_lisa.jpg", "driver": "examples/driver.mp4", "frames": 20}
_POSES = (1.0, 2.0)  # strengths of the head motion
_GREY_LEVELS, _PIXELS = 127.5, 128  # a unit of the residual, a unit of the flow in a crop of 256 pixels

Inputs = dict[str, np.ndarray]


class _Predict(nn.Module):
    """The part of a generator that is quantized, as a network of its own."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator

    def forward(self, images: Tensor, hint: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        return self.generator.predict(images, hint, style)


class _Recorder:
    """A generator that keeps what its `predict` takes."""

    textured = True

    def __init__(self, generator: Generator):
        self.generator, self.kept = generator, list[Inputs]()

    def correct(self, stickman: Tensor, style: Tensor, texture: WarpInputs) -> Correction:
        return self.generator.correct(stickman, style, texture, self._predict)

    def _predict(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        self.kept.append(dict(zip(INPUTS, (tensor.numpy() for tensor in inputs), strict=True)))
        return self.generator.predict(*inputs)


def recorded(reenactor: Reenactor, chosen: dict[str, Any]) -> list[Inputs]:
    """Returns what `Generator.predict` takes in some animations, a frame each.

    Args:
        reenactor: the model; its generator is replaced.
        chosen: settings of this benchmark.
    """
    torch.set_num_threads(1)  # one frame after another
    clip = list(read_video(chosen["driver"]))
    frames = [clip[i] for i in np.linspace(0, len(clip) - 1, chosen["frames"]).round().astype(int)]
    pictures = [*map(read_image, chosen["sources"].split(",")), frames[0], frames[len(frames) // 2]]
    motion = reenactor.track(frames)
    reenactor.generator = recorder = _Recorder(reenactor.networks.generator)
    for picture in pictures:
        head = reenactor.embed([picture])
        for pose in _POSES:
            for _ in reenactor.animate(head, motion, pose=pose, batch=1):
                pass
    return recorder.kept


def quantized(generator: Generator, inputs: list[Inputs]) -> Any:
    """Returns `Generator.predict` with 8-bit weights and activations, an `openvino.Model`.

    Args:
        generator: the generator.
        inputs: typical inputs, from which the ranges of the activations are taken.

    Raises:
        BadInput: a package is not installed.
    """
    openvino = load_openvino()
    try:
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    except ImportError as error:
        raise BadInput(f"{error.name} is not installed: pip install nncf") from error
    example = tuple(torch.from_numpy(array) for array in inputs[0].values())
    shapes = [(name, [-1, *array.shape[1:]]) for name, array in inputs[0].items()]
    model = openvino.convert_model(_Predict(generator), example_input=example, input=shapes)
    return nncf.quantize(
        model,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(inputs),
        # Without VNNI, sums of products of full 8-bit weights overflow. This costs no exactness that can be measured.
        advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
    )


def differences(generator: Generator, model: Any, inputs: list[Inputs]) -> dict[str, float]:
    """Returns how far the outputs of a model are from those of the generator.

    Args:
        generator: the generator.
        model: `openvino.Model` of its `predict`.
        inputs: of the frames to compare.
    """
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    errors = []
    for each in inputs:
        exact = generator.predict(*map(torch.from_numpy, each.values()))
        found = compiled(each)
        errors.append([np.abs(found[i] - exact[i].numpy()) for i in range(2)])
    (residuals, flows), names = (
        (np.stack(part) for part in zip(*errors, strict=True)),
        ("grey levels", "pixels of flow"),
    )
    scaled = dict(zip(names, (residuals * _GREY_LEVELS, flows * _PIXELS), strict=True))
    return {
        f"{how} {name}": float(getattr(np, how)(error)) for name, error in scaled.items() for how in ("mean", "max")
    }


def write(model: Any, weights: Path, about: dict[str, Any]) -> None:
    """Writes a model and its hashes beside weights, all files or none.

    Args:
        model: `openvino.Model`.
        weights: the weights file.
        about: content of the JSON file, besides the hashes of the model.
    """
    with ExitStack() as all_or_none:
        suffixes = (*MODEL, SPECIFICATION)
        targets = [weights.with_suffix(suffix) for suffix in suffixes]
        xml, binary, specification = (
            all_or_none.enter_context(atomic_write(target, (target.suffix,), overwrite=True)) for target in targets
        )
        load_openvino().serialize(model, str(xml), str(binary))
        sums = {f"{part.suffix[1:]}_sha256": common.sha256(part) for part in (xml, binary)}
        specification.write_text(json.dumps({**about, **sums}, indent=2) + "\n")


def main(argv: list[str]) -> None:
    """Quantizes a generator and prints how its output differs."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "driver")
    reenactor = Reenactor.from_pretrained(chosen["model"], device="cpu")
    checkpoint, generator = reenactor.checkpoint, reenactor.networks.generator
    if not generator.textured:
        raise BadInput(f"model={chosen['model']}: only generators of the realtime preset are quantized")
    inputs = recorded(reenactor, chosen)
    with torch.inference_mode():
        model = quantized(generator, inputs)
        result = differences(generator, model, inputs)
    files = [*chosen["sources"].split(","), chosen["driver"]]
    about = {
        "weights_sha256": checkpoint.sha256,
        "command": common.command("benchmarks.quantize", chosen),
        "calibration": {"frames": len(inputs), "sha256": {Path(file).name: common.sha256(file) for file in files}},
        "versions": {name: version(name) for name in ("openvino", "nncf", "torch")},
        "difference_from_32_bit": result,
    }
    write(model, checkpoint.path, about)
    print(common.table(["difference from 32 bit", ""], [[name, f"{value:.4f}"] for name, value in result.items()]))


if __name__ == "__main__":
    common.run(main, __doc__)
