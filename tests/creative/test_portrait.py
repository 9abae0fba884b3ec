"""Mona Lisa out of a memory of others: ends, geometry, neighbours, likeness, the command line and its refusals."""

import math
import os
import wave
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fewshot_heads import BadInput, VideoWriter, WeightsMismatch, read_image, read_video, write_image
from fewshot_heads.cli.config import compose_config
from fewshot_heads.creative.blending import retrieval
from fewshot_heads.creative.blending.portraits import Portrait, identity_similarity, portrait
from fewshot_heads.creative.blending.retrieval import load_gallery, nearest, synthetic_gallery
from fewshot_heads.creative.portrait import main
from fewshot_heads.media.audio import read_audio
from fewshot_heads.media.provenance import read_mark
from fewshot_heads.media.watermark import embed
from fewshot_heads.metrics import Identity
from tests.networks import noisy_weights

SMALL = Portrait(resolution=256)


@pytest.fixture(scope="module")
def sitter(reenactor, mona_path):
    return reenactor.embed([mona_path])


@pytest.fixture(scope="module")
def bank(tmp_path_factory, reenactor, mona, driver_frames):
    """A folder of two faces, one of them a saved head, and of what is no face."""
    folder = tmp_path_factory.mktemp("bank")
    reenactor.embed([driver_frames[0]]).save(folder / "woman.safetensors")
    write_image(folder / "mirror.png", mona[:, ::-1].copy())
    write_image(folder / "wall.png", np.full((200, 300, 3), 120, np.uint8))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def neighbours(reenactor, sitter, bank):
    return nearest(sitter, load_gallery(reenactor, bank), 3)


@pytest.fixture(scope="module")
def woman(neighbours):
    (found,) = [each for each in neighbours if each.name == "woman"]
    return [replace(found, share=1.0)]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def still(reenactor, sitter, neighbours, strength):
    (frame,) = portrait(reenactor, sitter, neighbours, None, replace(SMALL, strength=strength))
    return frame


def apart(a, b) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def test_without_strength_the_frames_are_the_plain_reenactment(reenactor, sitter, neighbours, driver_frames):
    motion = reenactor.track(driver_frames[:6])
    frames = list(portrait(reenactor, sitter, neighbours, motion, replace(SMALL, strength=0)))
    plain = list(reenactor.animate(sitter, motion, paste_back=False, resolution=256, shading=0))
    assert len(frames) == 6 and np.abs(np.stack(frames).astype(int) - plain).max() <= 2
    changed = list(portrait(reenactor, sitter, neighbours, motion, SMALL))
    assert len(changed) == 6 and apart(changed[3], plain[3]) > 0.5


def test_the_more_strength_the_farther_from_the_sitter_and_the_nearer_to_the_memory(reenactor, sitter, woman):
    way = [still(reenactor, sitter, woman, strength) for strength in (0, 0.25, 0.5, 0.75, 1)]
    assert (np.diff([apart(frame, way[0]) for frame in way]) > 0.5).all()
    assert (np.diff([apart(frame, way[-1]) for frame in way]) < -0.5).all()


def test_the_memory_alone_still_has_the_sitters_features_in_their_places(reenactor, sitter, woman):
    own, hers = sitter.landmarks[0].points, woman[0].head.landmarks[0].points
    (detected,) = reenactor.detectors[0].detect(still(reenactor, sitter, woman, 1))
    assert np.linalg.norm(detected.points - own, axis=1).mean() < 4 < np.linalg.norm(own - hers, axis=1).mean()


def test_up_to_half_hair_and_background_stay_the_sitters_and_then_become_the_nearests(reenactor, sitter, neighbours):
    plain, half, memory = (still(reenactor, sitter, neighbours, strength) for strength in (0, 0.5, 1))
    alone = still(reenactor, sitter, [replace(neighbours[0], share=1.0)], 1)
    top = np.s_[:24]
    assert np.abs(half[top].astype(int) - plain[top]).max() <= 2
    assert apart(memory[top], plain[top]) > max(5, 4 * apart(memory[top], alone[top]))
    assert apart(half, plain) > 0.5


def test_the_generator_of_a_tuned_neighbour_counts_by_its_share(reenactor, sitter, woman):
    tuned = noisy_weights(reenactor)
    changed = [replace(woman[0], head=replace(woman[0].head, tuned=tuned))]
    at = [apart(still(reenactor, sitter, changed, s), still(reenactor, sitter, woman, s)) for s in (0, 1)]
    assert at[0] < 0.1 < at[1]


def test_neighbours_are_the_nearest_by_angle_and_their_shares_fall_with_it(sitter):
    angles = {"far": 1.5, "near": 0.1, "middle": 0.5, "nearest": 0.0}
    head = replace(sitter, e_hat=np.float32([2, 0]))
    codes = {name: np.float32([3 * math.cos(angle), 3 * math.sin(angle)]) for name, angle in angles.items()}
    people = [(name, replace(sitter, e_hat=code)) for name, code in codes.items()]
    found = nearest(head, people, 3)
    assert [each.name for each in found] == ["nearest", "near", "middle"]
    np.testing.assert_allclose([each.similarity for each in found], np.cos([0, 0.1, 0.5]), atol=1e-6)
    powers = np.exp(np.cos([0, 0.1, 0.5]) / 0.1)
    np.testing.assert_allclose([each.share for each in found], powers / powers.sum(), atol=1e-5)
    assert [each.name for each in nearest(head, people, 9)][-1] == "far"


def test_the_bank_is_read_in_order_without_what_has_no_face_nor_the_sitters_own_file(reenactor, bank, caplog):
    assert [name for name, _ in load_gallery(reenactor, bank)] == ["mirror", "woman"]
    (record,) = caplog.records
    assert "1 of 3 files" in record.message and "wall.png" in record.message
    assert [name for name, _ in load_gallery(reenactor, bank, bank / "mirror.png")] == ["woman"]


class MeanColor:
    name = "mean colour"

    def embed(self, images, landmarks):
        at = landmarks.mean(1).astype(int)
        return np.stack([np.resize(image[y, x], 128) for image, (x, y) in zip(images, at, strict=True)])


def test_likeness_is_one_for_the_sitter_and_less_for_the_memory(reenactor, sitter, woman):
    judge = Identity(MeanColor())
    own, memory = (identity_similarity(reenactor, sitter, still(reenactor, sitter, woman, s), judge) for s in (0, 1))
    assert own["e_hat"] > 0.999 and own["mean colour"] > 0.99
    assert memory["e_hat"] < own["e_hat"] and memory["mean colour"] < own["mean colour"]
    large = cv2.resize(sitter.textures[0], (512, 512))
    assert identity_similarity(reenactor, sitter, large, judge)["mean colour"] > 0.99


def test_the_settings_are_those_of_the_configuration():
    config = compose_config("portrait")
    names = [field.name for field in fields(Portrait)]
    assert {field.name: field.default for field in fields(Portrait)} == {name: config[name] for name in names}


# The command line


def fails(capsys, *arguments, code=1):
    assert main([str(a) for a in arguments]) == code
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.strip().splitlines() if line.startswith("error")]
    return line


def test_without_a_driver_there_is_a_marked_picture_and_runs_are_alike(mona_path, bank, capsys, caplog):
    arguments = [str(mona_path), f"gallery={bank}", "resolution=256"]
    assert main(arguments) == main([*arguments, "-o", "again.jpg"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:4] == [*shown[4:7], "mona_lisa_remembered.jpg"]
    assert {line.split()[1] for line in shown[:2]} == {"mirror", "woman"} and "%" in shown[0]
    assert shown[2].startswith("strength 0.5: similarity to the sitter e_hat ")
    assert len(caplog.records) == 2
    picture = read_image("mona_lisa_remembered.jpg")
    assert picture.shape == (256, 256, 3)
    np.testing.assert_array_equal(picture, read_image("again.jpg"))
    assert read_mark("again.jpg")["digital_source_type"].endswith("/trainedAlgorithmicMedia")


def test_without_a_bank_the_memory_is_of_people_who_do_not_exist(reenactor, sitter, mona_path, capsys, monkeypatch):
    monkeypatch.setattr(retrieval, "_SYNTHETIC_PEOPLE", 4)  # of 24, to save time
    assert main([str(mona_path), "--strength", "1", "--neighbours=2", "resolution=256", "-o", "out.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.split()[1].startswith("invented_") for line in lines[:2]) and "strength 1" in lines[2]
    expected = still(reenactor, sitter, nearest(sitter, synthetic_gallery(reenactor), 2), 1)
    assert apart(read_image("out.png"), embed(expected, reenactor.weights.sha256)) < 0.1


def test_the_preview_goes_from_the_sitter_to_the_memory(reenactor, sitter, neighbours, mona_path, bank, driver_path):
    assert main([str(mona_path), str(driver_path), f"gallery={bank}", "--preview", "-o", "strip.png"]) == 0
    strip = read_image("strip.png")
    assert strip.shape == (256, 5 * 256, 3)
    for i in (0, 4):
        frame = still(reenactor, sitter, neighbours, i / 4)
        assert apart(strip[:, 256 * i : 256 * (i + 1)], frame) < 1.85  # levels of 255, of the watermark


def test_a_driver_moves_the_portrait_and_the_video_keeps_its_sound_and_is_marked(mona_path, bank, driver_frames):
    with wave.open("tone.wav", "wb") as tone:
        tone.setparams((1, 2, 16000, 0, "NONE", ""))
        tone.writeframes((8000 * np.sin(np.arange(8000) / 10)).astype("<i2").tobytes())
    with VideoWriter("driver.mp4", 25, audio=read_audio("tone.wav"), mark=None) as out:
        for frame in driver_frames:
            out.add(frame)
    assert main([str(mona_path), "driver.mp4", f"gallery={bank}", "resolution=256", "neighbours=1"]) == 0
    video = read_video("mona_lisa_remembered.mp4")
    assert (video.width, video.height, video.rate, video.has_audio) == (256, 256, 25, True)
    assert len(list(video)) == 12
    assert read_mark("mona_lisa_remembered.mp4")["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert {path.name for path in Path().iterdir()} == {"tone.wav", "driver.mp4", "mona_lisa_remembered.mp4"}


def test_bad_input_is_one_line(mona_path, bank, driver_path, capsys, tmp_path):
    wall = bank / "wall.png"
    (tmp_path / "empty").mkdir()
    (tmp_path / "walls").mkdir()
    write_image(tmp_path / "walls" / "wall.png", read_image(wall))
    (tmp_path / "out.jpg").write_text("mine")
    before = sorted(tmp_path.iterdir())
    memory = f"gallery={bank}"
    assert "gallery=nowhere: no such folder" in fails(capsys, mona_path, "gallery=nowhere")
    assert "gallery=empty: no pictures" in fails(capsys, mona_path, "gallery=empty")
    assert "walls: no file of 1 shows a face" in fails(capsys, mona_path, "gallery=walls")
    assert "a number from 0 to 1" in fails(capsys, mona_path, memory, "strength=1.5", code=2)
    assert "a whole number from 1" in fails(capsys, mona_path, memory, "neighbours=0", code=2)
    assert "wall.png: no face" in fails(capsys, wall, memory)
    assert "--overwrite" in fails(capsys, mona_path, memory, "-o", "out.jpg")
    assert "unknown kind of file" in fails(capsys, mona_path, memory, "-o", "out.mp4")
    assert "also an input" in fails(capsys, mona_path, memory, "-o", mona_path, "--overwrite")
    assert "comes last" in fails(capsys, driver_path, memory, code=2)
    assert "gallery=FOLDER" in fails(capsys, mona_path, mona_path, memory, code=2)
    assert "nobody.pt" in fails(capsys, mona_path, memory, "face_recognizer=nobody.pt")
    assert sorted(tmp_path.iterdir()) == before and (tmp_path / "out.jpg").read_text() == "mine"


@pytest.mark.parametrize("locked", ["", "mirror.png"])
def test_what_a_gallery_may_not_read_is_told_before_any_work(bank, mona_path, capsys, monkeypatch, locked):
    monkeypatch.setattr(os, "access", lambda path, mode: path != bank / locked)
    assert f"{bank / locked}: may not be read; change its permissions" in fails(capsys, mona_path, f"gallery={bank}")


def test_heads_of_another_generator_are_refused_and_named(reenactor, sitter, woman, mona_path, capsys, tmp_path):
    stranger = replace(sitter, generator="0" * 64)
    (tmp_path / "bank").mkdir()
    stranger.save(tmp_path / "bank" / "stranger.safetensors")
    assert "stranger.safetensors: made by another generator" in fails(capsys, mona_path, "gallery=bank")
    with pytest.raises(WeightsMismatch, match="the sitter"):
        portrait(reenactor, stranger, woman)
    with pytest.raises(WeightsMismatch, match="woman"):
        portrait(reenactor, sitter, [replace(woman[0], head=stranger)])


@pytest.mark.parametrize("wrong", [{"strength": 1.5}, {"strength": -0.1}, {"motion": "no"}, {"batch": 0}])
def test_settings_that_do_not_exist_are_named(reenactor, sitter, woman, wrong):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        portrait(reenactor, sitter, woman, None, Portrait(**wrong))


def test_nobody_is_no_memory(reenactor, sitter):
    with pytest.raises(BadInput, match="none came"):
        portrait(reenactor, sitter, [])
