"""The nodes keep ComfyUI's contract, and do their work on its types. ComfyUI itself is not on PyPI."""

import importlib.util
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fewshot_heads import BadInput

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
WIDGETS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}  # types whose values a person enters


@pytest.fixture(scope="module")
def package():
    """Imported as ComfyUI imports a folder of `custom_nodes`: from its path, under a name of its own."""
    name = "custom_nodes_fewshot_heads"
    spec = importlib.util.spec_from_file_location(
        name, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for loaded in [key for key in sys.modules if key.split(".")[0] == name]:
        del sys.modules[loaded]


@pytest.fixture
def run(package, reenactor, monkeypatch):
    """Runs a node as ComfyUI does: an instance, the method that FUNCTION names, inputs by name, defaults filled in."""
    monkeypatch.setattr(sys.modules[f"{package.__name__}.nodes"], "reenactor", lambda: reenactor)

    def run(node, **values):
        kind = package.NODE_CLASS_MAPPINGS[node]
        for name, (type_, *options) in kind.INPUT_TYPES()["required"].items():
            default = type_[0] if isinstance(type_, list) else (options[0] if options else {}).get("default")
            values.setdefault(name, default)
        result = getattr(kind(), kind.FUNCTION)(**values)
        assert isinstance(result, tuple) and len(result) == len(kind.RETURN_TYPES)
        return result[0]

    return run


def batch(*images):
    return torch.stack([torch.from_numpy(image).float() / 255 for image in images])


def test_contract__of_every_node(package):
    nodes = package.NODE_CLASS_MAPPINGS
    assert set(nodes) == set(package.NODE_DISPLAY_NAME_MAPPINGS)
    made = {"IMAGE"} | {type_ for node in nodes.values() for type_ in node.RETURN_TYPES}
    for node in nodes.values():
        assert node.CATEGORY == "fewshot_heads"
        assert isinstance(node.RETURN_TYPES, tuple) and len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
        assert inspect.ismethod(node.INPUT_TYPES)
        inputs = node.INPUT_TYPES()
        assert "required" in inputs and set(inputs) <= {"required", "optional", "hidden"}
        both = {**inputs["required"], **inputs.get("optional", {})}
        for type_, *options in both.values():
            settings = options[0] if options else {}
            if isinstance(type_, list):
                assert all(isinstance(choice, str) for choice in type_)
            elif type_ in WIDGETS:
                assert type(settings["default"]) is WIDGETS[type_]
                assert settings.get("min", settings["default"]) <= settings["default"]
                assert settings["default"] <= settings.get("max", settings["default"])
            else:
                assert type_ in made
        signature = inspect.signature(getattr(node, node.FUNCTION))
        signature.bind(None, **dict.fromkeys(both))  # raises where an input has no parameter
        signature.bind(None, **dict.fromkeys(inputs["required"]))


def test_a_picture_and_a_driver_become_frames(run, mona, driver_frames):
    head = run("FewshotHeadsLoadHead", images=batch(mona))
    motion = run("FewshotHeadsTrackDriver", frames=batch(*driver_frames[:8:7]))
    frames = run("FewshotHeadsAnimate", head=head, driver=motion)
    assert frames.dtype == torch.float32 and frames.shape == (2, *mona.shape)
    assert frames.min() >= 0 and frames.max() <= 1 and frames.max() > 0.5
    still = run("FewshotHeadsAnimate", head=head, driver=motion, pose=0.0, expression=0.0, paste_back=False)
    moving = run("FewshotHeadsAnimate", head=head, driver=motion, paste_back=False)
    assert (moving[0] - moving[1]).abs().mean() > 2 * (still[0] - still[1]).abs().mean()


def test_edit__at_zero_is_the_picture_and_a_slider_changes_it(run, mona):
    head = run("FewshotHeadsLoadHead", images=batch(mona))
    assert torch.equal(run("FewshotHeadsEdit", head=head), batch(mona))
    turned = run("FewshotHeadsEdit", head=head, yaw=15.0)
    assert turned.shape == (1, *mona.shape) and (turned - batch(mona)).abs().mean() > 0.01


def test_images__go_there_and_back_unchanged(package, mona):
    nodes = sys.modules[f"{package.__name__}.nodes"]
    assert np.array_equal(nodes.to_uint8(nodes.to_batch([mona]))[0], mona)
    with_alpha = torch.cat([batch(mona), torch.zeros(1, *mona.shape[:2], 1)], -1)
    assert np.array_equal(nodes.to_uint8(with_alpha)[0], mona)


def test_load_head__takes_a_saved_head_and_tells_what_is_missing(run, reenactor, mona_path, tmp_path):
    reenactor.embed([mona_path]).save(tmp_path / "mona.safetensors")
    head = run("FewshotHeadsLoadHead", saved_head=str(tmp_path / "mona.safetensors"))
    assert len(head.landmarks) == 1
    with pytest.raises(BadInput, match="connect pictures"):
        run("FewshotHeadsLoadHead")
