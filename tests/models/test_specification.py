"""Weights of a stranger: the JSON beside them is checked value by value, and their tensors are numbers that fit."""

import hashlib
import json
import math
import os
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fewshot_heads.errors import BadInput, FewshotHeadsError, WeightsMismatch
from fewshot_heads.media.provenance import Provenance
from fewshot_heads.models.building import build
from fewshot_heads.models.checkpoint import load_checkpoint, save_checkpoint
from fewshot_heads.models.specification import read_specification, specification_sha256
from fewshot_heads.models.weights_file import WEIGHTS

SPEC = {"size": 128, "embedding": 8, "embedder": {"channels": [4, 8]}, "generator": {"channels": [4, 4, 8]}}


@pytest.fixture
def path(tmp_path):
    return save_checkpoint(build(SPEC), tmp_path, "tiny", {"spec": SPEC})


def changed(path, change):
    """Applies a change to the JSON file beside weights."""
    about_path = path.with_suffix(".json")
    about = json.loads(about_path.read_text())
    about_path.write_text(json.dumps(change(about)))


def refused(path):
    with pytest.raises(FewshotHeadsError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value) and str(path.with_suffix("")) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 5}, {"name": ""}, {"name": "a\x00\x01\n"}, {"name": "a" * 101}, {"sha256": None}, {"sha256": "ab"},
        {"spec": [1]}, {"spec": "abc"}, {"spec": None}, {"spec": {**SPEC, "size": 0}}, {"spec": {**SPEC, "size": 100}},
        {"spec": {**SPEC, "size": 100_000}}, {"spec": {**SPEC, "size": None}}, {"spec": {**SPEC, "size": "128"}},
        {"spec": {**SPEC, "size": [128, 128]}}, {"spec": {**SPEC, "embedding": 10**30}},
        {"spec": {**SPEC, "embedding": True}}, {"spec": {**SPEC, "embedding": 8.5}},
        {"spec": {**SPEC, "embedding": "8"}},
        {"spec": {**SPEC, "generator": {"channels": []}}}, {"spec": {**SPEC, "generator": {"channels": [4] * 17}}},
        {"spec": {**SPEC, "generator": {"channels": [[4]]}}}, {"spec": {**SPEC, "generator": {"channels": "many"}}},
        {"spec": {**SPEC, "generator": {"channels": {"a": 4}}}}, {"spec": {**SPEC, "architecture": "unheard-of"}},
        {"spec": {"size": 128}}, {"spec": {}},
    ],
)  # fmt: skip
def test_a_specification_out_of_range_is_one_line(path, change):
    changed(path, lambda about: {**about, **change, "spec_sha256": specification_sha256({**about, **change}["spec"])})
    refused(path)


def test_a_size_that_was_changed_does_not_match_its_hash(path):
    changed(path, lambda about: {**about, "spec": {**SPEC, "size": 256}})
    assert "do not match spec_sha256" in refused(path)
    changed(path, lambda about: {key: value for key, value in about.items() if key != "spec_sha256"})
    assert load_checkpoint(path).about["spec"]["size"] == 256  # as in the first weights files


@pytest.mark.parametrize(
    "about_path", sorted(p.with_suffix(".json") for p in WEIGHTS.glob("*.safetensors")), ids=lambda path: path.stem
)
def test_every_shipped_specification_has_the_sum_of_its_sizes(about_path):
    about = read_specification(about_path)
    assert about["spec_sha256"] == specification_sha256(about["spec"])


def test_weights_saved_with_the_specification_of_others_have_sums_of_their_own(path, tmp_path):
    other = build({**SPEC, "size": 256})
    about = json.loads(path.with_suffix(".json").read_text()) | {"spec": {**SPEC, "size": 256}}
    saved = load_checkpoint(save_checkpoint(other, tmp_path, "other", about))
    assert saved.name == "other" and saved.sha256 != about["sha256"] and saved.about["spec"]["size"] == 256


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{}", "null", "\udcff", '{"name": "a", "sha256": "b"}'])
def test_a_file_that_is_no_specification_is_one_line(path, text):
    path.with_suffix(".json").write_text(text, errors="surrogateescape")
    assert "no readable specification" in refused(path)


def test_sizes_that_the_weights_do_not_have_reserve_no_memory(path):
    wide = {"channels": [4096] * 16}
    spec = {**SPEC, "embedder": wide, "generator": wide}
    changed(path, lambda about: {**about, "spec": spec, "spec_sha256": specification_sha256(spec)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "does not fit" in refused(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB; they would take 38 GiB


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_weights_that_are_no_numbers_are_refused(path, value):
    tensors = {key: tensor.float() for key, tensor in load_file(path).items()}
    next(iter(tensors.values())).view(-1)[0] = value
    save_file(tensors, path)
    changed(path, lambda about: {**about, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    assert "does not fit" in refused(path)


def test_a_suffix_in_capitals_is_taken(path):
    capitals = path.with_suffix(".SAFETENSORS")
    path.rename(capitals)
    assert load_checkpoint(capitals).name == "tiny"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_pipe_in_place_of_weights_is_refused_at_once(path, suffix):
    path.with_suffix(suffix).unlink()
    os.mkfifo(path.with_suffix(suffix))
    refused(path)


def test_a_folder_gives_no_unfinished_weights(path):
    (path.parent / f".{path.stem}.0123456789abcdef.part.safetensors").write_bytes(b"half")
    assert load_checkpoint(path.parent).path == path


def test_a_name_too_long_for_the_system_is_an_unknown_one():
    with pytest.raises(BadInput, match="no weights named"):
        load_checkpoint("a" * 300)


def test_a_mark_takes_no_control_characters():
    with pytest.raises(BadInput, match="control characters"):
        Provenance("tiny\x01", "ab", composite=True)


def test_weights_that_fit_come_back(path):
    networks = load_checkpoint(path).networks
    assert torch.isfinite(networks.generator.project.weight).all()
    with pytest.raises(WeightsMismatch, match="sha256"):
        path.write_bytes(path.read_bytes() + b" ")
        load_checkpoint(path)


def test_a_specification_without_end_is_refused_before_it_is_read(path, monkeypatch):
    os.truncate(path.with_suffix(".json"), 3 * 2**30)  # a sparse file
    monkeypatch.setattr(Path, "read_text", None)
    assert "no readable specification" in refused(path)


def test_weights_that_may_not_be_read_say_so(path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for name in (path, path.parent):
        with pytest.raises(BadInput, match=f"{name}: may not be read; change its permissions"):
            load_checkpoint(name)


def test_weights_in_a_folder_that_may_not_be_entered_say_so(path, monkeypatch):
    def locked(self, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os.path, "exists", lambda path: False)
    monkeypatch.setattr(Path, "stat", locked)
    with pytest.raises(BadInput, match=r"cannot be opened \(Permission denied\); check the path and its permissions"):
        load_checkpoint(path)
