"""Networks without metadata, and with the mask of a previous frame, run in MediaPipe Tasks."""

import flatbuffers
import numpy as np
import pytest
from mediapipe.tasks.metadata import schema_py_generated as schema

from fewshot_heads import BadInput
from fewshot_heads.imaging.segmentation import MODEL, _confidence_masks, person_matte
from fewshot_heads.imaging.tflite import read_segmenter

SIDE = 32


def packed(network) -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(network.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def mask_network(weights: np.ndarray) -> bytes:
    """One 1 x 1 convolution from (picture, previous mask) to the logits of background and hair; weights [2, 4]."""
    network, graph = schema.ModelT(), schema.SubGraphT()
    network.version = 3
    network.buffers = [schema.BufferT() for _ in range(3)]
    network.buffers[1].data = np.frombuffer(weights.astype(np.float32).tobytes(), np.uint8)
    network.buffers[2].data = np.zeros(8, np.uint8)
    graph.tensors = []
    for buffer, shape in ((0, [1, SIDE, SIDE, 4]), (1, [2, 1, 1, 4]), (2, [2]), (0, [1, SIDE, SIDE, 2])):
        tensor = schema.TensorT()
        tensor.shape, tensor.buffer, tensor.type = shape, buffer, schema.TensorType.FLOAT32
        tensor.name = f"tensor_{len(graph.tensors)}".encode()
        graph.tensors.append(tensor)
    code, operator, options = schema.OperatorCodeT(), schema.OperatorT(), schema.Conv2DOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 1
    options.strideW = options.strideH = 1
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [3]
    network.operatorCodes, network.subgraphs = [code], [graph]
    return packed(network)


def test_a_network_without_metadata_gives_the_matte_of_the_one_with_it(mona, tmp_path):
    network = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(MODEL.read_bytes(), 0))
    network.metadata = None
    (tmp_path / "bare.tflite").write_bytes(packed(network))
    assert read_segmenter(MODEL) == MODEL.read_bytes()
    np.testing.assert_array_equal(person_matte(mona, tmp_path / "bare.tflite"), person_matte(mona))


def test_a_network_with_a_previous_mask_runs_twice_and_sees_its_own_mask(tmp_path):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 4))
    (tmp_path / "hair.tflite").write_bytes(mask_network(weights))
    picture = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    first = picture / 255 @ weights[:, :3].T
    mask = 1 / (1 + np.exp(first[..., 0] - first[..., 1]))
    second = np.dstack([picture / 255, mask]) @ weights.T
    np.testing.assert_allclose(
        np.moveaxis(_confidence_masks(picture, tmp_path / "hair.tflite"), 0, -1), second, atol=1e-5
    )
    assert np.abs(second - first).max() > 0.3


def test_what_is_no_network_is_told(tmp_path, mona):
    (tmp_path / "text.tflite").write_text("no network")
    for name in ("text.tflite", "nowhere.tflite"):
        with pytest.raises(BadInput, match=f"{name}: not a network of TensorFlow Lite; check the path"):
            person_matte(mona, tmp_path / name)
