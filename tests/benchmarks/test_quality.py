"""`python -m benchmarks.quality` in miniature: two people, every protocol, on footage the project makes itself."""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import pytest
import torch

from benchmarks import quality as module
from benchmarks.cases import Case, Footage, choose_frames, find_clips, make_cases
from benchmarks.measures import MEASURES
from benchmarks.quality import main
from benchmarks.summary import tables
from fewshot_heads import VideoWriter, read_video
from fewshot_heads.cli.config import load_config
from fewshot_heads.errors import BadInput
from fewshot_heads.features.mobilefacenet import MobileFaceNet
from fewshot_heads.landmarks import detector
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.models.building import build
from fewshot_heads.models.checkpoint import save_checkpoint
from tests.conftest import EXAMPLES, write_clip

FRAMES = 10


@pytest.fixture(scope="module")
def judge_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("judge") / "identity.pt"
    torch.save(MobileFaceNet().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def clips(driver_frames, reenactor, mona, tmp_path_factory):
    """<identity>/<name>.mp4: the head of the example clip, and Mona Lisa moved by it."""
    root, finder = tmp_path_factory.mktemp("clips"), detector()
    crop = Crop.around([finder.detect(frame)[0] for frame in driver_frames[:FRAMES]], 256)
    moved = reenactor.animate(reenactor.embed([mona]), driver_frames[:FRAMES], paste_back=False, resolution=256)
    for name, frames in (("anna", [crop.cut(frame) for frame in driver_frames[:FRAMES]]), ("mona", list(moved))):
        (root / name).mkdir()
        write_clip(root / name / "clip.mp4", frames)
    return root


@pytest.fixture
def measure(clips, judge_file, tmp_path):
    """Runs the command on the two people; returns (exit code, report or None)."""

    def run(*words, out="run"):
        small = [
            "frames=2",
            "sequence_length=4",
            "k_shots=[1,2]",
            "drivers=1",
            "columns=[still,warp,realtime]",
            "videos=false",
        ]
        words = [f"clips={clips}", f"csim={judge_file}", "workers.processes=0", *small, *words]
        code = main(["-o", str(tmp_path / out), *words])
        path = tmp_path / out / "quality.json"
        return code, json.loads(path.read_text()) if path.is_file() else None

    return run


def table(report, protocol, k_shot=1):
    return next(each for each in report["tables"] if (each["protocol"], each["k_shot"]) == (protocol, k_shot))


@pytest.fixture(scope="module")
def report(clips, judge_file, tmp_path_factory):
    """Every protocol and kind of column once, with sheets and videos."""
    out = tmp_path_factory.mktemp("report")
    (out / "portraits").mkdir()
    cv2.imwrite(str(out / "portraits" / "mona lisa.jpg"), cv2.imread(str(EXAMPLES / "mona_lisa.jpg")))
    columns = "columns=[still,warp,realtime,realtime+absolute,realtime+tuned,realtime+mouth]"
    small = [
        "frames=2",
        "sequence_length=4",
        "k_shots=[1,2]",
        "drivers=1",
        "tuning_steps=1",
        columns,
        "workers.processes=1",
    ]
    files = [f"clips={clips}", f"csim={judge_file}", f"portraits={out / 'portraits'}"]
    assert main(["-o", str(out), *files, *small]) == 0
    return out, json.loads((out / "quality.json").read_text())


def test_every_protocol_has_a_table_with_every_column(report):
    _, data = report
    made = [(each["protocol"], each["k_shot"], each["cases"], each["failed"]) for each in data["tables"]]
    assert made == [
        ("self_reenactment", 1, 2, 0), ("self_reenactment", 2, 2, 0), ("cross_reenactment", 1, 2, 0),
        ("identity_round_trip", 1, 2, 0), ("paintings", 1, 1, 0),
    ]  # fmt: skip
    names = ["still", "warp", "realtime", "realtime+absolute", "realtime+tuned"]
    for each in data["tables"]:  # where the driver is the truth, nobody is shown its mouth
        with_mouth = each["protocol"] in ("cross_reenactment", "paintings")
        assert list(each["columns"]) == names + ["realtime+mouth"] * with_mouth


def test_what_is_measured_is_what_is_seen(report):
    _, data = report
    still, warp, own = (table(data, "self_reenactment")["columns"][name] for name in ("still", "warp", "realtime"))
    assert warp["akd"]["mean"] < still["akd"]["mean"] and own["akd"]["mean"] < still["akd"]["mean"]
    assert still["jitter"]["mean"] < 0.2 < own["jitter"]["mean"], "a still picture does not move"
    assert still["flicker"]["mean"] == 0
    trip = table(data, "identity_round_trip")["columns"]
    assert trip["still"]["psnr"]["mean"] == 100 and trip["realtime"]["psnr"]["mean"] > 35
    leak = {name: column["shape_leak"]["mean"] for name, column in table(data, "cross_reenactment")["columns"].items()}
    assert abs(leak["still"]) < 0.05 and leak["realtime+absolute"] > 0.5 > leak["realtime"]


def test_a_measure_stands_where_it_means_something(report):
    _, data = report
    assert "shape_leak" not in table(data, "self_reenactment")["columns"]["warp"]
    assert "psnr" not in table(data, "cross_reenactment")["columns"]["warp"]
    assert set(MEASURES) < set(data["measures"])


def test_the_report_names_what_it_rests_on(report):
    out, data = report
    assert data["model"]["name"] == "realtime" and len(data["model"]["sha256"]) == 64
    assert data["judges"]["csim"]["name"] == "MobileFaceNet" and data["judges"]["vgg"] is None
    assert len(data["data"]["index"]) == 64 and "workers.processes=1" in data["command"]
    assert str(out.parent.parent) not in json.dumps(data), "where files lie is nobody's business"
    assert "### Self-reenactment, 2 source pictures" in (out / "quality.md").read_text()


def test_each_case_can_be_looked_at(report):
    out, data = report
    row = data["rows"][0]
    assert cv2.imread(str(out / row["files"]["sheet"])).shape == (6 * 160, 3 * 160, 3)
    assert np.stack(list(read_video(out / row["files"]["video"]))).shape == (4, 160, 7 * 160, 3)


def test_the_same_command_gives_the_same_numbers_and_a_broken_run_goes_on(measure, tmp_path, monkeypatch):
    code, first = measure()
    assert code == 0
    done = sorted((tmp_path / "run" / "cases").glob("*.json"))
    done[0].unlink()
    measured = []
    monkeypatch.setattr(module, "_measure", recorded(module._measure, measured))
    assert measure()[1] == first
    assert len(measured) == 1, "the others are taken from their files"
    assert measure(out="again")[1]["rows"] == first["rows"]


def recorded(function, calls):
    def call(chosen, folder, case):
        calls.append(case.name)
        function(chosen, folder, case)

    return call


def test_a_case_that_fails_is_a_row_with_its_reason(clips, measure, tmp_path):
    (clips / "wall").mkdir()
    write_clip(clips / "wall" / "clip.mp4", [np.full((256, 256, 3), 90, np.uint8)] * 6)
    write_clip(clips / "wall" / "short.mp4", [np.full((256, 256, 3), 90, np.uint8)])
    try:
        code, data = measure("protocols=[self_reenactment]", "k_shots=[1]", "columns=[still,warp]")
    finally:
        for path in (clips / "wall").iterdir():
            path.unlink()
        (clips / "wall").rmdir()
    assert code == 0
    failed = {row["case"]: row["failed"] for row in data["rows"] if "failed" in row}
    assert failed == {
        "wall/clip": "NoFaceFound: wall/clip: no face in the source",
        "wall/short": "a clip of 1 frames leaves none to compare beside its sources",
    }
    assert (data["tables"][0]["cases"], data["tables"][0]["failed"]) == (2, 2)
    assert "- **Failed**, wall/clip: NoFaceFound" in (tmp_path / "run" / "quality.md").read_text()


def test_another_method_joins_by_a_command(measure, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    script = tmp_path / "hold.py"
    script.write_text(
        "import sys\nfrom fewshot_heads import read_image, read_video, VideoWriter\n"
        "source, driver, out = sys.argv[1:]\n"
        "with VideoWriter(out, 25, crf=5, mark=None) as video:\n"
        "    for _ in read_video(driver):\n        video.add(read_image(source))\n"
    )
    peer = f"peers.command={sys.executable} {script} {{source}} {{driver}} {{out}}"
    code, data = measure(
        "protocols=[self_reenactment]", "k_shots=[1]", "max_identities=1", "columns=[still,command]", peer
    )
    assert code == 0
    still, held = table(data, "self_reenactment")["columns"].values()
    assert held["l1"]["mean"] == pytest.approx(still["l1"]["mean"], rel=0.05)


def hold(source, driver, out):
    """A peer in Python that loses a frame."""
    frames = list(read_video(driver))[1:]
    with VideoWriter(out, 25) as video:
        for frame in frames:
            video.add(frame)


def test_a_method_that_loses_frames_fails_by_name(measure):
    _, data = measure(
        "protocols=[self_reenactment]",
        "k_shots=[1]",
        "max_identities=1",
        "columns=[tests.benchmarks.test_quality:hold]",
    )
    assert data["rows"][0]["failed"] == (
        f"tests.benchmarks.test_quality:hold: BadInput: it wrote {FRAMES - 1} frames for a driver of {FRAMES}"
    )


def test_a_smaller_model_is_enlarged_to_the_same_table(measure, tmp_path):
    spec = {"architecture": "paper", "size": 64, "embedding": 8, "channels": [4, 8], "bottleneck": 1}
    small = save_checkpoint(build(spec), tmp_path, "small", {"spec": spec})
    few = ("protocols=[self_reenactment]", "k_shots=[1]", "max_identities=1")
    code, data = measure(*few, "columns=[realtime,paper]", f"models.paper={small}")
    assert code == 0 and not data["rows"][0].get("failed")
    realtime, paper = table(data, "self_reenactment")["columns"].values()
    assert realtime["l1"]["mean"] < paper["l1"]["mean"] < 1, "it was not trained"
    large = {**spec, "size": 512}
    unused = save_checkpoint(build(large), tmp_path, "large", {"spec": large})
    code, data = measure(*few, "columns=[still,warp]", f"models.paper={unused}", out="unused")
    assert code == 0 and not data["rows"][0].get("failed"), "a model that nobody asked for has no say"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["columns=[stil]"], 1, "there is no 'stil'"),
        (["columns=[paper]"], 1, "paper needs weights"),
        (["columns=[liveportrait]"], 1, "name the folder of its checkout"),
        (["columns=[command]", "peers.command=cp {source}"], 1, "{driver}, {out} is not in it"),
        (["columns=[no.module:f]"], 1, "no.module:f cannot be imported"),
        (["protocols=[paintings]"], 1, "for paintings name portraits=FOLDER"),
        (["protocols=[self]"], 1, "there is no 'self'"),
        (["clips=nowhere"], 1, "nowhere"),
        (["frame=3"], 2, "did you mean 'frames'"),
    ],
)
def test_bad_settings_are_one_line(measure, capsys, words, code, said):
    assert measure(*words)[0] == code
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ") and said in line


def test_other_settings_do_not_go_on_in_the_same_folder(measure, capsys):
    few = ("protocols=[identity_round_trip]", "columns=[still]", "max_identities=1")
    assert measure(*few)[0] == 0
    assert measure(*few, "frames=3")[0] == 1
    assert "measured with other settings" in capsys.readouterr().err
    assert measure("protocols=[identity_round_trip]", "columns=[still]")[0] == 0, "more cases may join"


def test_compared_frames_are_never_sources_and_the_same_for_every_number_of_them():
    for total in (2, 3, 24, 75, 300):
        all_judged = set()
        for k_shot in (1, 8, 32):
            sources, judged, run = choose_frames(total, k_shot, 16, 8)
            assert not set(sources) & set(judged) and len(sources) <= k_shot and sources[0] == 0
            assert np.array_equal(run, np.arange(run[0], run[-1] + 1)) and run[-1] < total
            all_judged.add(tuple(judged))
        assert len(all_judged) == 1
    with pytest.raises(BadInput, match="1 frames leaves none"):
        choose_frames(1, 1, 16, 8)


def test_every_source_is_driven_by_others_and_the_seed_says_by_whom():
    people = [Footage(name, f"{name}/{i}", f"{name}{i}") for name in "abcd" for i in range(2)]
    chosen = {"protocols": ["cross_reenactment"], "k_shots": [1], "drivers": 3, "seed": 0}
    chosen |= {"max_identities": 0, "max_clips_per_identity": 0}
    cases = make_cases(people, [], [], chosen)
    assert len(cases) == 4 * 3 and all(case.source.identity != case.driver.identity for case in cases)
    assert cases == make_cases(people, [], [], chosen) != make_cases(people, [], [], {**chosen, "seed": 1})


def test_file_names_of_cases_do_not_meet():
    a, b = Footage("x", "x/a b", "f"), Footage("x", "x/a-b", "g")
    assert Case("paintings", 1, a, a).slug != Case("paintings", 1, b, b).slug


def test_a_prepared_folder_is_footage_too(clips, tmp_path, judge_file):
    from fewshot_heads.prepare import main as prepare

    assert prepare([str(clips), str(tmp_path / "shards"), "val_fraction=0.5", "crop=full", "min_seconds=0.1"]) == 0
    (found,) = find_clips(tmp_path / "shards")
    assert found.frames(256, detector()).shape == (FRAMES, 256, 256, 3)
    words = [
        "columns=[still,warp]",
        "protocols=[self_reenactment]",
        "k_shots=[1]",
        "frames=2",
        "sequence_length=3",
        "videos=false",
    ]
    out = tmp_path / "run"
    assert main(["-o", str(out), f"clips={tmp_path / 'shards'}", f"csim={judge_file}", *words]) == 0
    assert json.loads((out / "quality.json").read_text())["tables"][0]["cases"] == 1


def test_an_identity_with_many_clips_counts_once_and_failures_not_at_all(tmp_path):
    def row(identity, value):
        np.savez(tmp_path / f"{identity}{value}.npz")
        facts = {"protocol": "self_reenactment", "k_shot": 1, "case": identity, "features": f"{identity}{value}"}
        return {**facts, "identity": identity, "columns": {"warp": {"l1": value}, "still": {"l1": value + 2}}}

    rows = [row("a", 1.0), row("a", 3.0), row("b", 8.0), {**row("c", 9.0), "failed": "no face"}]
    (made,) = tables(tmp_path, rows)
    assert made["columns"]["warp"]["l1"]["mean"] == 5.0
    assert made["columns"]["warp"]["l1"]["low"] >= 2.0 and made["columns"]["warp"]["l1"]["high"] <= 8.0
    difference = made["against_warp"]["still"]["l1"]
    assert [difference[key] for key in ("mean", "low", "high")] == [2.0, 2.0, 2.0], "compared case by case"
    assert (made["cases"], made["identities"], made["failed"]) == (3, 2, 1)
    assert tables(tmp_path, rows[-1:])[0]["columns"] == {}


def test_settings_that_may_change_are_settings():
    assert set(module._FREE) <= set(load_config("benchmark"))
