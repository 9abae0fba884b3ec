"""The command `export`, its contract, and the example that animates without torch."""

import hashlib
import json
import os
import runpy
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from fewshot_heads import Reenactor, export, read_video
from fewshot_heads.deployment import exported_files
from fewshot_heads.deployment.networks import exported_networks
from fewshot_heads.imaging.convert import to_uint8
from fewshot_heads.landmarks.openvino_runtime import openvino_core
from fewshot_heads.models.checkpoint import load_checkpoint
from fewshot_heads.rendering.animation import retargeted_faces
from fewshot_heads.rendering.renderer import HeadRenderer
from tests.conftest import EXAMPLES, write_clip

EXAMPLE = EXAMPLES / "onnx_animate.py"
FRAMES = 3

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clip(tmp_path_factory, driver_frames):
    return write_clip(tmp_path_factory.mktemp("driver") / "clip.mp4", driver_frames[:5], 12.5)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, mona_path, clip):
    folder = tmp_path_factory.mktemp("export") / "exported"
    assert export.main(["-o", str(folder), str(mona_path), str(clip), f"frames={FRAMES}"]) == 0
    return folder


@pytest.fixture(scope="module")
def contract(exported):
    return json.loads((exported / "contract.json").read_text())


def test_the_example_gives_the_frames_of_the_library(exported, mona_path, clip):
    found = np.stack(list(runpy.run_path(str(EXAMPLE))["frames"](exported)))
    reenactor = Reenactor.from_pretrained(backend="torch", device="cpu")
    head, motion = reenactor.embed([mona_path]), reenactor.track(clip)
    faces = retargeted_faces(head, motion, reenactor.size)[:FRAMES]
    renderer = HeadRenderer(head, reenactor.generator)
    visibility = [renderer.visibility(face) for face in faces]
    expected = to_uint8(renderer.composite(faces, visibility, renderer.style.repeat(FRAMES, 0)))
    assert np.ptp(expected.astype(int), 0).max() > 20, "the head moves"
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_onnx_animate(exported, tmp_path):
    """The example runs without torch and the package, and writes a video."""
    code = f"import runpy, sys; runpy.run_path({str(EXAMPLE)!r})['main'](*sys.argv[1:]); print(*sys.modules)"
    words = [sys.executable, "-c", code, str(exported), str(tmp_path / "out.mp4")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert not {"torch", "fewshot_heads", "cv2", "scipy", "openvino"} & set(done.stdout.split())
    video = read_video(tmp_path / "out.mp4")
    assert (video.rate, len(list(video))) == (12.5, FRAMES)
    assert len(EXAMPLE.read_text().splitlines()) <= 60


def test_the_contract_names_every_file_with_its_hash(exported, contract):
    named = {file["name"]: file["sha256"] for network in contract["networks"] for file in network["files"]}
    named |= {file["name"]: file["sha256"] for file in (contract["data"]["head"], *contract["data"]["frames"])}
    files = {str(path.relative_to(exported)): path for path in exported.rglob("*.*")}
    del files["contract.json"]
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == named
    assert exported_files(exported) == {"contract.json", *named}
    assert contract["library"]["version"] and contract["model"]["name"] == "realtime"


def test_the_contract_has_the_inputs_and_outputs_of_the_files(exported, contract):
    for network in contract["networks"]:
        session = onnxruntime.InferenceSession(exported / network["files"][0]["name"])
        for ports, found in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            assert [port["name"] for port in network[ports]] == [each.name for each in found]
            for port, each in zip(network[ports], found, strict=True):
                assert port["type"] == "float32" and each.type == "tensor(float)" and port["meaning"]
                assert len(port["shape"]) == len(each.shape)
                for side, side_found in zip(port["shape"], each.shape, strict=True):
                    assert side == side_found or isinstance(side_found, str), "fixed in the file alone"


def test_the_contract_describes_every_array(exported, contract):
    described = {"head.npz": contract["data"]["head"]["arrays"], "frames/0000.npz": contract["data"]["frame_arrays"]}
    for name, arrays in described.items():
        found = np.load(exported / name)
        assert {(a["name"], a["type"], tuple(a["shape"])) for a in arrays} == {
            (key, str(found[key].dtype), found[key].shape) for key in found.files
        }
        assert all(a["meaning"] and a["encoding"] in contract["data"]["encodings"] for a in arrays)


def test_openvino_files_compute_what_torch_computes(tmp_path):
    assert export.main(["-o", str(tmp_path / "new"), "format=openvino", "inpainters=[eyes]"]) == 0
    contract = json.loads((tmp_path / "new" / "contract.json").read_text())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "contract.json", "embedder.bin", "embedder.xml", "generator.bin", "generator.xml", "inpainter_eyes.bin",
        "inpainter_eyes.xml",
    ]  # fmt: skip
    assert "data" not in contract and os.listdir(tmp_path) == ["new"]
    assert exported_files(tmp_path / "new") == set(os.listdir(tmp_path / "new"))
    for network in exported_networks(load_checkpoint(), {"eyes": load_checkpoint("eyes")}):
        inputs = network.example()
        with torch.no_grad():
            expected = network.module(*inputs)
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        model = openvino_core().compile_model(tmp_path / "new" / f"{network.name}.xml", "CPU", options)
        found = model({port.name: value.numpy() for port, value in zip(network.inputs, inputs, strict=True)})
        for port, values in zip(network.outputs, expected if len(network.outputs) > 1 else [expected], strict=True):
            np.testing.assert_allclose(found[port.name], values.numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["a.jpg"], 2, "a portrait and a driver, or neither"),
        (["format=tflite"], 2, "expected onnx or openvino"),
        (["-o", "full"], 1, "full: holds other files, such as letter.txt; choose a new folder"),
        (["-o", "full", "--overwrite"], 1, "full: holds other files"),
        (["-o", "old"], 1, "old: exists already; allow overwriting (--overwrite)"),
        (["-o", "mixed", "--overwrite", "mixed/me.jpg", "mixed/me.mp4"], 1, "mixed: holds other files, such as me."),
        (["-o", "file"], 1, "file: this is a file; name a folder"),
        (["-o", "no/new"], 1, "there is no folder no; make it first"),
        (["none.jpg", "clip.mp4"], 1, "none.jpg: no such file"),
        (["model=mouth"], 1, "not weights of a generator"),
        (["inpainters=[realtime]"], 1, "paints no part of a face"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, code, told):
    monkeypatch.chdir(tmp_path)
    for folder in ("full", "old", "mixed"):
        (tmp_path / folder).mkdir()
    for name in ("full/letter.txt", "mixed/me.jpg", "mixed/me.mp4"):
        (tmp_path / name).write_text("mine")
    for name in ("old/contract.json", "mixed/contract.json"):
        (tmp_path / name).write_text('{"networks": []}')
    (tmp_path / "file").write_text("mine")
    before = set(tmp_path.rglob("*"))
    assert export.main(arguments) == code
    line = capsys.readouterr().err.strip()
    assert line.startswith("error: ") and told in line and "\n" not in line
    assert set(tmp_path.rglob("*")) == before


def test_a_package_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("fewshot_heads.cli.packages.find_spec", lambda name: name != "onnx" or None)
    assert export.main(["-o", str(tmp_path / "new"), "format=onnx"]) == 1
    line = capsys.readouterr().err
    assert "onnx is not installed: pip install 'fewshot_heads[export]'" in line and not os.listdir(tmp_path)
