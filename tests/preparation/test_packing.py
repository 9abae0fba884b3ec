"""`preparation.packing`: keys, identities and splits of clips, and the contact sheet."""

import pytest

from fewshot_heads.datasets.shards import open_shards
from fewshot_heads.errors import BadInput
from fewshot_heads.media.images import read_image
from fewshot_heads.preparation import pipeline, work_units
from tests.preparation.conftest import fails, laid_out, prepare, rows


def test_the_contact_sheet_has_a_tile_a_clip(footage, tmp_path):
    prepare(footage, tmp_path / "out")
    assert read_image(tmp_path / "out" / "contact_sheet.png").shape == (186, 320, 3)


def test_keys_need_no_care_with_names(clip, tmp_path):
    name = "Zoë v. O'Hara" + 100 * "a"
    root = laid_out(tmp_path / "in", {f"{name}/{100 * 'b'} (1).mp4": clip, f"{name}/x/a.b (1).mp4": clip})
    prepare(root, tmp_path / "out")
    names = [clip.name for clip in open_shards(tmp_path / "out")]
    assert len(set(names)) == 2 and all(name.isascii() and not set(name) & set(". '/") for name in names)
    assert open_shards(tmp_path / "out")[0].identity == name


def test_files_in_no_folder_are_people_of_their_own_and_one_line_says_so(clip, portrait, tmp_path, caplog):
    root = laid_out(tmp_path / "in", {"a.mp4": clip, "b.mp4": portrait})
    prepare(root, tmp_path / "out")
    assert {row["identity"] for row in rows(tmp_path / "out")} == {"a.mp4", "b.mp4"}
    assert "2 files lie in no folder" in caplog.text and "face_network=FILE" in caplog.text
    caplog.clear()
    prepare(root, tmp_path / "quiet", "identity=file")
    assert "folder" not in caplog.text


class ByPixels:
    """Stands in for a face network: the aligned image itself is the embedding."""

    def __init__(self, path):
        pass

    def __call__(self, faces):
        return faces.flatten(1)


def test_people_are_told_apart_by_face(clip, portrait, tmp_path, monkeypatch):
    for module in (pipeline, work_units):
        monkeypatch.setattr(module, "MobileFaceNet", ByPixels)
    root = laid_out(tmp_path / "in", {"a.mp4": clip, "b.mp4": portrait, "c.mp4": clip})
    prepare(root, tmp_path / "out", "face_network=file", "identity_threshold=0.99")
    people = {row["source"]: row["identity"] for row in rows(tmp_path / "out")}
    assert people == {"a.mp4": "person-0000", "b.mp4": "person-0001", "c.mp4": "person-0000"}


def test_a_face_network_that_is_none_ends_the_run(clip, tmp_path, capsys):
    root = laid_out(tmp_path / "in", {"a.mp4": clip})
    assert "none.pt" in fails(capsys, root, tmp_path / "out", "face_network=none.pt")


def test_the_split_of_the_folders_is_kept(clip, portrait, tmp_path):
    root = laid_out(tmp_path / "in", {"val/ann/a.mp4": clip, "train/ben/b.mp4": portrait})
    prepare(root, tmp_path / "out")
    assert {row["identity"]: row["split"] for row in rows(tmp_path / "out")} == {"ann": "val", "ben": "train"}


def test_a_person_in_both_splits_is_put_in_one(clip, portrait, tmp_path, caplog):
    root = laid_out(tmp_path / "in", {"val/ann/a.mp4": clip, "train/ann/b.mp4": clip, "train/ben/b.mp4": portrait})
    prepare(root, tmp_path / "out")
    assert len({row["split"] for row in rows(tmp_path / "out") if row["identity"] == "ann"}) == 1
    assert "1 people, such as ann, lie in folders of several splits" in caplog.text


def test_one_person_alone_is_trained_on_and_one_line_says_so(clip, tmp_path, caplog):
    root = laid_out(tmp_path / "in", {"ann/a.mp4": clip})
    assert prepare(root, tmp_path / "out") == 0
    assert "no one is left for val" in caplog.text
    assert len(open_shards(tmp_path / "out")) == 1
    with pytest.raises(BadInput, match="no clips of split 'val'"):
        open_shards(tmp_path / "out", "val")
