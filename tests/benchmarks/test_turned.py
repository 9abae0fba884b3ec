"""The protocol `turned`: which pictures are paired, and what of them is compared."""

import json
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from benchmarks.quality import main
from benchmarks.turned import TURNS, PicturePair, compared_regions, find_recordings, turn_between, turned_cases
from fewshot_heads import BadInput, NoFaceFound
from fewshot_heads.features.mobilefacenet import MobileFaceNet
from fewshot_heads.landmarks import detector
from fewshot_heads.landmarks.crop import Crop

COLUMNS = ["path", "identity", "split", "recording", "kind", "yaw", "pitch", "roll"]


def write_index(folder, rows):
    lines = ["\t".join(COLUMNS), *("\t".join(map(str, row)) for row in rows)]
    (folder / "index.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def people(driver_frames, tmp_path_factory):
    """One recording of seven pictures, whose index tells of larger turns than they show; a short one; a train one."""
    root, finder = tmp_path_factory.mktemp("people"), detector()
    crop = Crop.around([finder.detect(frame)[0] for frame in driver_frames[:7]], 320)
    for i, frame in enumerate(driver_frames[:7]):
        cv2.imwrite(str(root / f"{i}.png"), crop.cut(frame)[..., ::-1])
    yaws = [1, 10, 33, 45, -12, -60, 25]
    rows = [(f"{i}.png", "ann", "val", "ann_1", "video frame", yaw, 0, 0) for i, yaw in enumerate(yaws)]
    rows.append(("profile.png", "ann", "val", "ann_1", "video frame", "", "", ""))
    rows += [(f"{i}.png", "ben", "val", "ben_1", "photo", 20 * i, 0, 0) for i in range(3)]
    write_index(root, [*rows, ("0.png", "eve", "train", "eve_1", "photo", 0, 0, 0)])
    return root


def test_turn_between__is_the_angle_of_the_rotation():
    assert turn_between((0, 0, 0), (30, 0, 0)) == pytest.approx(30)
    assert turn_between((20, 0, 0), (-20, 0, 0)) == pytest.approx(40)
    assert turn_between((0, 0, 15), (0, 0, 15)) == pytest.approx(0, abs=1e-5)
    assert turn_between((0, 30, 0), (0, 0, 30)) == pytest.approx(42.1, abs=0.5)


def test_turned_cases__pair_pictures_of_one_recording_by_their_turn(people):
    recordings = find_recordings(people)
    assert {key: len(pictures) for key, pictures in recordings.items()} == {("ann", "ann_1"): 7, ("ben", "ben_1"): 3}
    cases = turned_cases(people)
    assert len(cases) == 2 * 5, "two sources, five targets each; a short recording is left out"
    sources = {case.source.origin[0].stem for case in cases}
    assert sources == {"0", "2"}, "the most frontal picture and the one 33 degrees aside"
    yaw = dict(enumerate([1, 10, 33, 45, -12, -60, 25]))
    for case in cases:
        source, target = (int(path.stem) for path in case.source.origin)
        low, high = TURNS[case.protocol]
        assert source != target and low <= abs(yaw[source] - yaw[target]) < high
        assert case.source == case.driver and case.source.still_body


def test_turned_cases__targets_are_spread(people):
    targets = sorted(int(case.source.origin[1].stem) for case in turned_cases(people)[:5])
    yaws = sorted([1, 10, 33, 45, -12, -60, 25][i] for i in targets)
    assert yaws[0] == -60 and yaws[-1] == 45 and min(b - a for a, b in pairwise(yaws)) >= 8


def test_find_recordings__says_what_is_missing(tmp_path):
    with pytest.raises(BadInput, match="has no index.tsv"):
        find_recordings(tmp_path)
    write_index(tmp_path, [("a.jpg", "ann", "train", "ann_1", "photo", 0, 0, 0)])
    with pytest.raises(BadInput, match="no picture with a pose in the split 'val'"):
        find_recordings(tmp_path)
    write_index(tmp_path, [("a.jpg", "ann", "val", "ann_1", "photo", "left", 0, 0)])
    with pytest.raises(BadInput, match="line 2: could not convert"):
        find_recordings(tmp_path)


def test_compared_regions__divide_the_picture(mona):
    face = detector().detect(mona)[0]
    crop = Crop.around([face], 256)
    image, face = crop.cut(mona), crop.to_crop(face)
    pair = PicturePair("mona", "mona", (), still_body=True)
    masks = compared_regions(pair, image, face)
    assert set(masks) == {"head", "body", "background"}
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
    rows = {name: np.flatnonzero(mask.any(1)) for name, mask in masks.items()}
    assert masks["head"][face.points[:, 1].astype(int), face.points[:, 0].astype(int)].all()
    assert rows["body"].max() == 255 and rows["head"].max() < 0.95 * 256
    assert set(compared_regions(PicturePair("mona", "mona", ()), image, face)) == {"head"}
    with pytest.raises(NoFaceFound, match="no face in the target"):
        compared_regions(pair, image, None)


def test_the_command_measures_pairs_without_clips(people, tmp_path):
    torch.save(MobileFaceNet().state_dict(), tmp_path / "identity.pt")
    words = ["protocols=[turned]", "columns=[still,realtime]", "videos=false", "workers.processes=0"]
    arguments = ["-o", str(tmp_path / "run"), f"people={people}", f"csim={tmp_path / 'identity.pt'}", *words]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "run" / "quality.json").read_text())
    assert sum(table["cases"] for table in report["tables"]) == 10
    assert {table["protocol"] for table in report["tables"]} <= set(TURNS)
    for table in report["tables"]:
        still, model = (table["columns"][name] for name in ("still", "realtime"))
        assert {"l1_head", "l1_body", "l1_background", "pose", "akd", "csim"} <= set(still)
        assert model["akd"]["mean"] < still["akd"]["mean"]
