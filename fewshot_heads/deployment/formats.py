"""Writes networks as ONNX or OpenVINO files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from fewshot_heads.deployment.networks import ExportedNetwork
from fewshot_heads.landmarks.openvino_runtime import load_openvino

OPSET = 17  # of ONNX: the first with every operation of the generator is 16
FORMATS = ("onnx", "openvino")  # each is named as its package


def write_network(network: ExportedNetwork, folder: Path, format: str) -> list[Path]:
    """Writes a network, and returns its files.

    Args:
        network: the network, on the processor.
        folder: where the files are written.
        format: "onnx" (one file) or "openvino" (.xml and .bin).
    """
    with torch.no_grad(), warnings.catch_warnings():
        # The exporters warn of branches and of their own age. The tests compare the outputs at other sizes.
        warnings.simplefilter("ignore")
        return (_write_onnx if format == "onnx" else _write_openvino)(network, folder)


def _write_onnx(network: ExportedNetwork, folder: Path) -> list[Path]:
    path = folder / f"{network.name}.onnx"
    ports = (*network.inputs, *network.outputs)
    torch.onnx.export(
        network.module.eval(),
        network.example(),
        str(path),
        input_names=[port.name for port in network.inputs],
        output_names=[port.name for port in network.outputs],
        dynamic_axes={port.name: port.dynamic_axes for port in ports if port.dynamic_axes},
        opset_version=OPSET,
        dynamo=False,  # the other exporter needs onnxscript
    )
    return [path]


def _write_openvino(network: ExportedNetwork, folder: Path) -> list[Path]:
    path = folder / f"{network.name}.xml"
    load_openvino().save_model(openvino_model(network), str(path))  # weights as float16, as in the weights file
    return [path, path.with_suffix(".bin")]


def openvino_model(network: ExportedNetwork) -> Any:
    """Returns a network as an `openvino.Model`.

    Args:
        network: the network, on the processor.
    """
    shapes = [(port.name, [-1 if isinstance(side, str) else side for side in port.shape]) for port in network.inputs]
    model = load_openvino().convert_model(network.module.eval(), example_input=network.example(), input=shapes)
    for output, port in zip(model.outputs, network.outputs, strict=True):
        output.get_tensor().set_names({port.name})
    return model
