"""Makes the models of OpenVINO of weights, which need no torch, and says how the output of a generator differs.

A generator becomes one of 8-bit numbers. Embedders, inpainters and parsers keep their numbers.

python -m benchmarks.quantize [key=value ...]

model    realtime                a shipped preset, or a .safetensors file; the models are written beside it
sources  examples/mona_lisa.jpg  portraits for the calibration, separated by commas; two frames of the driver are added
driver   examples/driver.mp4     the clip that moves them
frames   20                      frames of the clip, evenly spaced
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import common
from fewshot_heads import BadInput, Reenactor, read_image, read_video
from fewshot_heads.deployment.formats import openvino_model
from fewshot_heads.deployment.networks import exported_embedder, exported_inpainter, exported_parser
from fewshot_heads.imaging.threads import set_thread_count
from fewshot_heads.landmarks.openvino_runtime import load_openvino, openvino_core
from fewshot_heads.media.files import atomic_write
from fewshot_heads.models.checkpoint import Checkpoint, load_checkpoint
from fewshot_heads.models.generator import Generator
from fewshot_heads.models.inpainter import Inpainter
from fewshot_heads.models.network import Run
from fewshot_heads.models.openvino_models import GENERATOR_INPUTS, SPECIFICATION, model_paths
from fewshot_heads.models.parsing import Parser

DEFAULTS = {"model": "realtime", "sources": "examples/mona_lisa.jpg", "driver": "examples/driver.mp4", "frames": 20}
_POSES = (1.0, 2.0)  # strengths of the head motion
_GREY_LEVELS, _PIXELS = 127.5, 128  # a unit of the residual, a unit of the flow in a crop of 256 pixels

# Models whose weights are those of the file, float16. A parser's are multiplied with its normalization, and an 8-bit
# model has scales.
_HALF = ("embedder", "inpainter")

Inputs = dict[str, np.ndarray]


class _Predict(nn.Module):
    """The part of a generator that is quantized, as a network of its own."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator

    def forward(self, images: Tensor, hint: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        return self.generator.predict(images, hint, style)


class _Recorder:
    """Runs a generator, and keeps what it takes."""

    def __init__(self, run: Run):
        self.run, self.kept = run, list[Inputs]()

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        self.kept.append(dict(zip(GENERATOR_INPUTS, (array.copy() for array in inputs), strict=True)))
        return self.run(*inputs)


def recorded(reenactor: Reenactor, chosen: dict[str, Any]) -> list[Inputs]:
    """Returns what `Generator.predict` takes in some animations, a frame each.

    Args:
        reenactor: the model; its generator is replaced.
        chosen: settings of this benchmark.
    """
    set_thread_count(1)  # one frame after another
    clip = list(read_video(chosen["driver"]))
    frames = [clip[i] for i in np.linspace(0, len(clip) - 1, chosen["frames"]).round().astype(int)]
    pictures = [*map(read_image, chosen["sources"].split(",")), frames[0], frames[len(frames) // 2]]
    motion = reenactor.track(frames)
    recorder = _Recorder(reenactor.generator.run)
    reenactor.generator = replace(reenactor.generator, run=recorder)
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


def write(models: dict[str, Any], weights: Path, about: dict[str, Any]) -> None:
    """Writes models and their hashes beside weights, all files or none.

    Args:
        models: `openvino.Model` by the name of the network.
        weights: the weights file.
        about: content of the JSON file, besides the hashes of the models.
    """
    with ExitStack() as all_or_none:

        def part(target: Path) -> Path:
            return all_or_none.enter_context(atomic_write(target, (target.suffix,), overwrite=True))

        sums = {}
        for name, model in models.items():
            with tempfile.TemporaryDirectory() as folder:
                written = Path(folder) / "model.xml"
                load_openvino().save_model(model, str(written), compress_to_fp16=name in _HALF)
                for target in model_paths(weights, name):
                    part(target).write_bytes(written.with_suffix(target.suffix).read_bytes())
                xml, binary = (common.sha256(written.with_suffix(suffix)) for suffix in (".xml", ".bin"))
            sums[name] = {"xml_sha256": xml, "bin_sha256": binary}
        specification = part(weights.with_suffix(SPECIFICATION))
        specification.write_text(json.dumps({**about, "models": sums}, indent=2) + "\n")


def main(argv: list[str]) -> None:
    """Makes the models of weights, and prints how the output of a quantized generator differs."""
    chosen = common.settings(DEFAULTS, argv)
    common.check_paths(chosen, "driver")
    checkpoint = load_checkpoint(chosen["model"])
    networks, spec = checkpoint.networks, checkpoint.about["spec"]
    about = {
        "weights_sha256": checkpoint.sha256,
        "command": common.command("benchmarks.quantize", chosen),
        "versions": {name: version(name) for name in ("openvino", "torch")},
    }
    if isinstance(networks, Inpainter):
        models = {"inpainter": openvino_model(exported_inpainter(spec["part"], checkpoint))}
    elif isinstance(networks, Parser):
        models = {"parser": openvino_model(exported_parser(checkpoint))}
    elif networks.generator.textured:
        generator, about = _generator(checkpoint, chosen, about)
        models = {"embedder": openvino_model(exported_embedder(checkpoint)), "generator": generator}
    else:
        raise BadInput(f"model={chosen['model']}: only generators of the realtime preset are quantized")
    write(models, checkpoint.path, about)


def _generator(checkpoint: Checkpoint, chosen: dict[str, Any], about: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Returns the quantized generator, and what is known of its making; prints how its output differs."""
    inputs, generator = recorded(Reenactor(checkpoint, "cpu", backend="torch"), chosen), checkpoint.networks.generator
    with torch.inference_mode():
        model = quantized(generator, inputs)
        result = differences(generator, model, inputs)
    print(common.table(["difference from 32 bit", ""], [[name, f"{value:.4f}"] for name, value in result.items()]))
    files = [*chosen["sources"].split(","), chosen["driver"]]
    calibration = {"frames": len(inputs), "sha256": {Path(file).name: common.sha256(file) for file in files}}
    versions = about["versions"] | {"nncf": version("nncf")}
    return model, about | {"versions": versions, "calibration": calibration, "difference_from_32_bit": result}


if __name__ == "__main__":
    common.run(main, __doc__)
