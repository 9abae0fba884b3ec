"""Prepares TensorFlow Lite networks for MediaPipe's image segmenter, which asks for metadata and three channels."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from fewshot_heads.errors import BadInput

_METADATA = b"TFLITE_METADATA"
_LEVELS = 255.0  # a picture's values are divided by it: MediaPipe's segmenters take 0 to 1
_COLORS = 3


def read_segmenter(path: Path) -> bytes:
    """Reads a segmenter's .tflite and returns a network that MediaPipe Tasks can run.

    A network with metadata stays as it is. Others get the normalization of their input, 0 to 1. MediaPipe's hair
    network takes the mask of the previous frame as a fourth channel. It becomes a network of one picture: two passes,
    and the second one gets the mask of the first one.

    Args:
        path: a .tflite whose input is one RGB picture, with or without a previous mask.

    Raises:
        BadInput: the file cannot be read or holds no network of TensorFlow Lite.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: not a network of TensorFlow Lite; check the path") from error
    if data[4:8] != b"TFL3":
        raise BadInput(f"{path}: not a network of TensorFlow Lite; check the path")
    if _METADATA in data:
        return data
    from mediapipe.tasks.metadata import schema_py_generated as schema

    network = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    (graph,) = network.subgraphs
    if graph.tensors[graph.inputs[0]].shape[-1] > _COLORS:
        _unroll(network, schema)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _METADATA, _add_buffer(network, _normalization(), schema)
    network.metadata = [*(network.metadata or []), entry]
    return _packed(network, b"TFL3")


def _unroll(network: Any, schema: Any) -> None:
    """Unrolls a network of (picture, previous mask) to two passes, in place; the first has no mask."""
    (graph,) = network.subgraphs
    stacked, logits = int(graph.inputs[0]), int(graph.outputs[0])
    side = graph.tensors[stacked].shape[1]
    picture = _add_tensor(graph, [1, side, side, _COLORS])
    (first,) = (operator for operator in graph.operators if stacked in list(operator.inputs))
    kernel = graph.tensors[first.inputs[1]]
    weights = np.asarray(network.buffers[kernel.buffer].data, np.uint8).view(np.float32).reshape(kernel.shape)

    # The second pass: the same weights, new tensors for what is computed.
    constant = {i for i, tensor in enumerate(graph.tensors) if network.buffers[tensor.buffer].data is not None}
    renamed = {i: i for i in (*constant, stacked, -1)}
    second_pass = copy.deepcopy(graph.operators)
    for operator in second_pass:
        for i in operator.outputs:
            renamed[int(i)] = _add_tensor(graph, list(graph.tensors[i].shape))
        operator.inputs = [renamed[int(i)] for i in operator.inputs]
        operator.outputs = [renamed[int(i)] for i in operator.outputs]

    # The first pass: the picture alone, which equals a mask of zeros.
    colors = np.ascontiguousarray(weights[..., :_COLORS])
    first.inputs = [picture, _add_constant(network, colors, schema), *first.inputs[2:]]

    # Between them: the share of hair is sigmoid(hair - background).
    hair, mask = (_add_tensor(graph, [1, side, side, 1]) for _ in range(2))
    difference = _add_constant(network, np.array([-1, 1], np.float32).reshape(1, 1, 1, 2), schema)
    bias = _add_constant(network, np.zeros(1, np.float32), schema)
    subtract, join = schema.Conv2DOptionsT(), schema.ConcatenationOptionsT()
    subtract.strideW = subtract.strideH = 1
    join.axis = 3
    operators, options = schema.BuiltinOperator, schema.BuiltinOptions
    steps = [
        (operators.CONV_2D, [logits, difference, bias], hair, options.Conv2DOptions, subtract),
        (operators.LOGISTIC, [hair], mask, options.NONE, None),
        (operators.CONCATENATION, [picture, mask], stacked, options.ConcatenationOptions, join),
    ]
    between = [_operator(network, schema, *step) for step in steps]
    graph.operators = [*graph.operators, *between, *second_pass]
    graph.inputs, graph.outputs = [picture], [renamed[logits]]


def _operator(network: Any, schema: Any, code: int, inputs: list[int], output: int, kind: int, options: Any) -> Any:
    """A built-in operator; its code is added to the network's list."""
    entry, operator = schema.OperatorCodeT(), schema.OperatorT()
    entry.builtinCode = entry.deprecatedBuiltinCode = code
    entry.version = 1
    network.operatorCodes.append(entry)
    operator.opcodeIndex = len(network.operatorCodes) - 1
    operator.inputs, operator.outputs = inputs, [output]
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    return operator


def _add_buffer(network: Any, data: bytes, schema: Any) -> int:
    """The index of a new buffer."""
    network.buffers.append(schema.BufferT())
    network.buffers[-1].data = np.frombuffer(data, np.uint8)
    return len(network.buffers) - 1


def _add_constant(network: Any, values: np.ndarray, schema: Any) -> int:
    """The index of a new tensor float32 with these values."""
    (graph,) = network.subgraphs
    index = _add_tensor(graph, list(values.shape))
    graph.tensors[index].buffer = _add_buffer(network, values.tobytes(), schema)
    return index


def _add_tensor(graph: Any, shape: list[int]) -> int:
    """The index of a new tensor float32 that is computed."""
    tensor = copy.copy(graph.tensors[graph.inputs[0]])
    tensor.shape, tensor.shapeSignature, tensor.buffer = shape, None, 0
    tensor.name = f"unrolled_{len(graph.tensors)}".encode()
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _normalization() -> bytes:
    """The metadata of a network whose input is an RGB picture from 0 to 1."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    options, step = schema.NormalizationOptionsT(), schema.ProcessUnitT()
    options.mean, options.std = [0.0], [_LEVELS]
    step.optionsType, step.options = schema.ProcessUnitOptions.NormalizationOptions, options
    picture, content, colors = schema.TensorMetadataT(), schema.ContentT(), schema.ImagePropertiesT()
    colors.colorSpace = schema.ColorSpaceType.RGB
    content.contentPropertiesType, content.contentProperties = schema.ContentProperties.ImageProperties, colors
    picture.processUnits, picture.content = [step], content
    graph, metadata = schema.SubGraphMetadataT(), schema.ModelMetadataT()
    graph.inputTensorMetadata, graph.outputTensorMetadata = [picture], [schema.TensorMetadataT()]
    metadata.subgraphMetadata = [graph]
    return _packed(metadata, b"M001")


def _packed(table: Any, identifier: bytes) -> bytes:
    """A flatbuffer with its file identifier."""
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.Finish(table.Pack(builder), identifier)
    return bytes(builder.Output())
