"""Footage to shards, end to end, and everything that can be wrong with footage."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from fewshot_heads.datasets.shards import open_shards
from fewshot_heads.errors import BadInput
from fewshot_heads.media.images import read_image, write_image
from fewshot_heads.preparation import work_units as parts
from fewshot_heads.preparation.filters import Filters
from fewshot_heads.preparation.frames import face_runs
from fewshot_heads.preparation.identities import assign_splits, cluster
from fewshot_heads.preparation.shots import ShotSegmenter
from fewshot_heads.preparation.sources import find_sources
from fewshot_heads.preparation.workers import WorkerDied, map_in_processes
from fewshot_heads.prepare import main
from tests.conftest import write_clip
from tests.faces import face

RATE = 12
SMALL = ["size=96", "min_seconds=0.4", "max_seconds=1", "min_face=50", "min_sharpness=50"]


@pytest.fixture(scope="module")
def clip(driver_frames, tmp_path_factory) -> Path:
    """Eight frames of the example clip, two thirds of a second."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", driver_frames[:8], RATE)


@pytest.fixture(scope="module")
def portrait(mona, tmp_path_factory) -> Path:
    """Mona Lisa moving her head a little to the side."""
    folder = tmp_path_factory.mktemp("portrait")
    return write_clip(folder / "portrait.mp4", [_even(mona[:, 2 * i : 2 * i + 296]) for i in range(8)], RATE)


@pytest.fixture
def footage(clip, portrait, tmp_path) -> Path:
    """Two people in a folder each."""
    return laid_out(tmp_path / "in", {"ann/a.mp4": clip, "ben/b.mp4": portrait})


def laid_out(root: Path, files: dict[str, Path]) -> Path:
    for name, path in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / name)
    return root


def _even(image):
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])


def prepare(root, out, *overrides, processes=0) -> int:
    return main([str(root), str(out), *SMALL, f"workers.processes={processes}", *overrides])


def fails(capsys, *arguments, code=1) -> str:
    """The one line on stderr of a run that must fail."""
    assert prepare(*arguments) == code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


def rows(out, name="index.jsonl"):
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def rejects(out):
    return {(row["source"], row["reason"]) for row in rows(out, "rejected.jsonl")}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_main_job(footage, tmp_path, capsys):
    out = tmp_path / "out"
    assert prepare(footage, out) == 0
    printed = capsys.readouterr()
    assert printed.out.strip().splitlines()[-1] == str(out) and "%" not in printed.err
    names = ["contact_sheet.png", "index.jsonl", "prepare.json", "rejected.jsonl", "train-000000.tar", "val-000000.tar"]
    assert sorted(path.name for path in out.iterdir()) == names
    (train,), (val,) = open_shards(out), open_shards(out, "val")
    assert {train.identity, val.identity} == {"ann", "ben"}
    for each in (train, val):
        assert (
            each.frames.shape == (8, 96, 96, 3)
            and each.kind == "video"
            and each.seconds == pytest.approx(8 / RATE, 0.01)
        )
        assert each.landmarks.shape == (8, 70 + 151, 3) and np.isfinite(each.landmarks).all()
        points = each.landmarks[..., :2]
        assert points.min() > 0 and points.max() < 96
    summary = json.loads((out / "prepare.json").read_text())
    assert summary["clips"] == {"train": 1, "val": 1} and summary["rejects"] == {} and summary["settings"]["size"] == 96


def test_landmarks_lie_on_the_stored_faces(footage, tmp_path):
    from fewshot_heads.landmarks import detector

    prepare(footage, tmp_path / "out", "size=256")
    finder = detector("mediapipe")
    for split in ("train", "val"):
        for each in open_shards(tmp_path / "out", split):
            seen = finder.detect(each.frames[4])[0].to_array()
            assert np.abs((seen - each.landmarks[4])[:, :2]).mean() < 2.5


def test_the_contact_sheet_has_a_tile_a_clip(footage, tmp_path):
    prepare(footage, tmp_path / "out")
    assert read_image(tmp_path / "out" / "contact_sheet.png").shape == (186, 320, 3)


def test_keys_need_no_care_with_names(clip, tmp_path):
    name = "Zoë v. O'Hara" + 100 * "a"
    root = laid_out(tmp_path / "in", {f"{name}/{100 * 'b'} (1).mp4": clip, f"{name}/x/a.b (1).mp4": clip})
    prepare(root, tmp_path / "out")
    names = [each.name for each in open_shards(tmp_path / "out")]
    assert len(set(names)) == 2 and all(name.isascii() and not set(name) & set(". '/") for name in names)
    assert open_shards(tmp_path / "out")[0].identity == name


# Resuming


def test_a_run_that_was_killed_goes_on_with_two_processes_to_the_same_bytes(footage, portrait, tmp_path):
    laid_out(footage, {"cara/c.mp4": portrait})
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert prepare(footage, unbroken) == 0
    command = [sys.executable, "-m", "fewshot_heads.prepare", str(footage), str(broken), *SMALL, "workers.processes=0"]
    killed = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
    while not list((broken / ".parts").glob("????????????????.json")) and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (broken / "index.jsonl").exists()
    assert prepare(footage, broken, processes=2) == 0
    assert contents(broken) == contents(unbroken)


def test_a_stop_at_any_write_leaves_nothing_half_written(footage, tmp_path, monkeypatch, capsys):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    prepare(footage, unbroken)
    fsync = os.fsync
    for survived in range(30):
        left = [survived]
        stop = OSError(28, "No space left on device") if survived % 2 else KeyboardInterrupt()

        def failing(descriptor, left=left, stop=stop):
            left[0] -= 1
            if left[0] < 0:
                raise stop
            fsync(descriptor)

        monkeypatch.setattr("os.fsync", failing)
        capsys.readouterr()
        code = prepare(footage, broken)
        assert not list(broken.rglob("*.part"))
        if code == 0:
            break
        assert code == (1 if survived % 2 else 130)
        if code == 1:
            assert "disk is full" in capsys.readouterr().err
    assert survived > 5 and contents(broken) == contents(unbroken)


def test_a_finished_part_is_not_done_again(footage, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fewshot_heads.preparation.pipeline.write_shards", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    assert prepare(footage, tmp_path / "out") == 130
    monkeypatch.undo()
    monkeypatch.setattr(parts, "write_work_unit", None)
    assert prepare(footage, tmp_path / "out") == 0


def test_a_finished_folder_is_left_as_it_is(footage, clip, tmp_path, capsys, caplog):
    out = tmp_path / "out"
    prepare(footage, out)
    before = contents(out)
    assert prepare(footage, out) == 0
    assert "complete already" in caplog.text and contents(out) == before
    assert "begun with size=96 (now 128)" in fails(capsys, footage, out, "size=128")
    shutil.copy(clip, footage / "ann" / "more.mp4")
    assert "from other files" in fails(capsys, footage, out)
    assert contents(out) == before
    (footage / "ann" / "more.mp4").unlink()
    (out / "val-000000.tar").write_bytes(b"")
    assert "val-000000.tar: cut short" in fails(capsys, footage, out)


def test_other_settings_do_not_go_on(footage, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "fewshot_heads.preparation.pipeline.write_shards", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    prepare(footage, tmp_path / "out")
    monkeypatch.undo()
    assert "choose another folder" in fails(capsys, footage, tmp_path / "out", "min_face=60")


def test_the_folder_of_someone_else_is_not_written_to(footage, tmp_path, capsys):
    assert "has other files in it" in fails(capsys, footage, footage)
    assert {path.name for path in footage.iterdir()} == {"ann", "ben"}


def test_the_output_may_lie_in_the_input(footage, tmp_path):
    assert prepare(footage, footage / "out") == 0
    assert prepare(footage, footage / "out") == 0
    assert len(rows(footage / "out")) == 2


# Several processes


def refuse(item):
    raise BadInput(f"{item}: no")


def test_a_worker_that_dies_costs_one_item():
    bad, good = "__import__('os')._exit(1)", "1 + 1"
    done = dict(map_in_processes(eval, [bad, good], {"backend": "local", "processes": 1}))
    assert isinstance(done[bad], WorkerDied) and done[good] is None and len(done) == 2


def test_a_file_that_crashes_its_worker_is_listed(footage, tmp_path, monkeypatch):
    def dying(work, items, workers):
        for item in items:
            died = item.name == "ann/a.mp4"
            if not died:
                work(item)
            yield item, WorkerDied("killed") if died else None

    monkeypatch.setattr("fewshot_heads.preparation.pipeline.map_in_processes", dying)
    assert prepare(footage, tmp_path / "out") == 0
    assert rejects(tmp_path / "out") == {("ann/a.mp4", "crashed")}


class RayStandIn(types.ModuleType):
    """As much of Ray as is used, in this process."""

    class exceptions:  # noqa: N801
        class RayError(Exception):
            pass

    def __init__(self):
        super().__init__("ray")
        self.up, self.most = False, 0
        self.results: dict[int, object] = {}

    def is_initialized(self):
        return self.up

    def init(self, address, **_):
        if address == "auto":
            raise ConnectionError
        self.up = True

    def shutdown(self):
        self.up = False

    def cluster_resources(self):
        return {"CPU": 1.0}

    def remote(self, function):
        def start(work, item):
            self.results[len(self.results)] = (function, work, item)
            return len(self.results) - 1

        return types.SimpleNamespace(remote=start)

    def wait(self, references):
        self.most = max(self.most, len(references))
        return references[:1], references[1:]

    def get(self, reference):
        function, work, item = self.results[reference]
        if item == "bad":
            raise self.exceptions.RayError
        return function(work, item)

    def cancel(self, reference, force):
        pass


def test_ray_writes_the_same_bytes(footage, tmp_path, monkeypatch, capsys):
    prepare(footage, tmp_path / "one")
    monkeypatch.setitem(sys.modules, "ray", RayStandIn())
    arguments = [str(footage), str(tmp_path / "two"), *SMALL, "workers=ray"]
    assert main(arguments) == 1 and "ray start --head" in capsys.readouterr().err
    assert main([*arguments, "workers.address=local"]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_ray_holds_few_at_once_and_survives_a_worker(monkeypatch):
    ray = RayStandIn()
    monkeypatch.setitem(sys.modules, "ray", ray)
    workers = {"backend": "ray", "address": "local"}
    done = dict(map_in_processes(len, ["good", "bad", *"abcdef"], workers))
    assert isinstance(done["bad"], WorkerDied) and sum(died is None for died in done.values()) == 7
    assert ray.most == 2 and not ray.up
    with pytest.raises(BadInput, match="a: no"):
        list(map_in_processes(refuse, ["a"], workers))
    assert not ray.up


def test_without_ray_the_error_names_the_extra(footage, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([str(footage), str(tmp_path / "out"), "workers=ray"]) == 1
    assert "fewshot_heads[ray]" in capsys.readouterr().err


# Shots


def test_a_shot_ends_where_the_face_jumps(driver_frames, tmp_path):
    height, width = driver_frames[0].shape[:2]
    wide = [np.zeros((height, 2 * width, 3), np.uint8) for _ in range(12)]
    for i, frame in enumerate(wide):
        frame[:, (i >= 6) * width :][:, :width] = driver_frames[i]
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/cut.mp4", wide, RATE)
    prepare(tmp_path / "in", tmp_path / "out")
    first, second = open_shards(tmp_path / "out")
    assert len(first.frames) == len(second.frames) == 6
    assert second.meta["start"] == 0.5 and second.meta["boxes"][0][0] - first.meta["boxes"][0][0] > width / 2


def test_a_shot_ends_where_the_picture_changes_though_the_face_stays(driver_frames, tmp_path):
    light = [np.clip(frame.astype(int) + 70, 0, 255).astype(np.uint8) for frame in driver_frames[6:12]]
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/cut.mp4", driver_frames[:6] + light, RATE)
    prepare(tmp_path / "in", tmp_path / "out")
    assert [len(each.frames) for each in open_shards(tmp_path / "out")] == [6, 6]


def test_a_shot_ends_where_the_face_is_gone(driver_frames, tmp_path):
    frames = [*driver_frames[:6], *[np.full_like(driver_frames[0], 90)] * 7, *driver_frames[6:12]]
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/gap.mp4", frames, RATE)
    prepare(tmp_path / "in", tmp_path / "out")
    assert [len(each.frames) for each in open_shards(tmp_path / "out")] == [6, 6]
    (gone,) = rows(tmp_path / "out", "rejected.jsonl")
    assert gone == {"source": "ann/gap.mp4", "reason": "no_face", "start": 0.5, "end": 1.083}


def test_runs_of_frames_with_a_face():
    seen = np.array([2, 3, 4, 6, 7, 20, 21, 22])
    runs, gaps = face_runs(seen, [0, 4], max_gap=5, count=30)
    assert [run.tolist() for run in runs] == [[2, 3], [4, 6, 7], [20, 21, 22]]
    assert gaps == [(8, 20), (23, 30)]


def test_a_long_shot_is_cut_into_equal_pieces(driver_frames, tmp_path):
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/long.mp4", [*driver_frames, *driver_frames[::-1]], RATE)
    prepare(tmp_path / "in", tmp_path / "out", "max_seconds=1.5", "min_seconds=0.7")
    assert [len(each.frames) for each in open_shards(tmp_path / "out")] == [12, 12]


def test_a_video_is_thinned_to_a_rate_but_never_filled_up(footage, tmp_path):
    prepare(footage, tmp_path / "six", "rate=6")
    prepare(footage, tmp_path / "fifty", "rate=50")
    assert {row["frames"] for row in rows(tmp_path / "six")} == {5}  # the first, and one a sixth of a second
    assert {row["frames"] for row in rows(tmp_path / "fifty")} == {8}


def test_a_head_crop_is_kept_whole(portrait, mona, tmp_path):
    prepare(laid_out(tmp_path / "in", {"ann/a.mp4": portrait}), tmp_path / "out", "crop=full")
    (kept,) = open_shards(tmp_path / "out")
    assert kept.meta["boxes"] == [[0, (mona.shape[0] - 296) // 2, 296]]


@pytest.mark.parametrize("center", [(40, 60), (150, 110), (270, 200)])
@pytest.mark.parametrize("scale", [20, 60, 90])
def test_the_square_stays_in_the_picture(center, scale):
    limits = Filters(128, "head", None, 1, 10, 0, 0, 1, 1)
    crop = ShotSegmenter(limits, detector=None)._crop([face(center=center, scale=scale)], (240, 320))
    assert crop.left >= 0 and crop.left + crop.side <= 320
    assert crop.top >= 0 and crop.top + crop.side <= 240


def test_the_pictures_of_a_folder_are_one_clip_with_a_box_each(mona, driver_frames, tmp_path):
    folder = tmp_path / "in/ann"
    folder.mkdir(parents=True)
    write_image(folder / "1.png", _even(mona))
    write_image(folder / "2.jpg", driver_frames[0])
    write_image(folder / "3.png", np.full((200, 200, 3), 90, np.uint8))
    (folder / "4.jpg").write_text("no picture")
    prepare(tmp_path / "in", tmp_path / "out")
    (stills,) = open_shards(tmp_path / "out")
    assert stills.kind == "stills" and len(stills.frames) == 2 == len(stills.meta["boxes"]) and stills.seconds == 0
    assert rejects(tmp_path / "out") == {("ann/3.png", "no_face"), ("ann/4.jpg", "unreadable")}


# Footage that is left out


def test_what_is_no_use_is_listed_with_its_reason(footage, driver_frames, clip, tmp_path):
    blank = [np.full((120, 160, 3), 90, np.uint8)] * 4
    small = [cv2.resize(frame, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA) for frame in driver_frames[:6]]
    tiny = [cv2.copyMakeBorder(frame, 60, 60, 60, 60, cv2.BORDER_CONSTANT) for frame in small]
    for name, frames in {
        "blank.mp4": blank,
        "short.mp4": driver_frames[:3],
        "tiny.mp4": [_even(frame) for frame in tiny],
        "soft.mp4": [cv2.GaussianBlur(frame, (0, 0), 14) for frame in driver_frames[:6]],
    }.items():
        write_clip(footage / "ann" / name, frames, RATE)
    data = clip.read_bytes()
    (footage / "ann/cut.mp4").write_bytes(data[:200])
    (footage / "ann/empty.mp4").touch()
    (footage / "ann/text.mp4").write_text("not a video")
    (footage / "ann/notes.txt").write_text("no footage, so of no interest")
    prepare(footage, tmp_path / "out")
    assert rejects(tmp_path / "out") == {
        ("ann/blank.mp4", "no_face"), ("ann/short.mp4", "short"), ("ann/tiny.mp4", "small_face"),
        ("ann/soft.mp4", "blurred"), ("ann/cut.mp4", "unreadable"), ("ann/empty.mp4", "unreadable"),
        ("ann/text.mp4", "unreadable"),
    }  # fmt: skip
    assert {row["source"] for row in rows(tmp_path / "out")} == {"ann/a.mp4", "ben/b.mp4"}
    short = next(row for row in rows(tmp_path / "out", "rejected.jsonl") if row["reason"] == "short")
    assert short == {"source": "ann/short.mp4", "reason": "short", "start": 0, "end": 0.25, "value": 0.25, "limit": 0.4}


def test_a_face_that_reaches_out_of_the_picture(mona, tmp_path):
    x, y = 165, 100  # through the face
    (tmp_path / "in/ann").mkdir(parents=True)
    write_clip(tmp_path / "in/ann/half.mp4", [_even(mona[y:, x:])] * 6, RATE)
    assert prepare(tmp_path / "in", tmp_path / "out", "min_face=10") == 1
    assert rejects(tmp_path / "out") <= {("ann/half.mp4", "outside"), ("ann/half.mp4", "no_face")}


def test_a_video_cut_short_gives_what_can_be_read(footage, driver_frames, tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", driver_frames, RATE).read_bytes()
    (footage / "ann/cut.mp4").write_bytes(whole[: int(len(whole) * 0.9)])
    prepare(footage, tmp_path / "out")
    assert ("ann/cut.mp4", "damaged") in rejects(tmp_path / "out")
    assert "ann/cut.mp4" in {row["source"] for row in rows(tmp_path / "out")}


def test_no_footage_at_all(tmp_path, capsys):
    assert "no such folder" in fails(capsys, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "in").mkdir()
    assert "no videos or pictures" in fails(capsys, tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_that_can_be_used(footage, tmp_path, capsys):
    line = fails(capsys, footage, tmp_path / "out", "min_face=1000")
    assert "no clip is left (2 small_face)" in line and "rejected.jsonl" in line
    assert len(rows(tmp_path / "out", "rejected.jsonl")) == 2
    assert prepare(footage, tmp_path / "out") == 0  # with other settings, in the same place


def test_usage_errors(footage, tmp_path, capsys):
    assert main([str(footage)]) == 2
    assert "max_seconds" in fails(capsys, footage, tmp_path, "min_seconds=1", code=2)
    assert "did you mean 'min_face'" in fails(capsys, footage, tmp_path, "min_fase=1", code=2)
    assert "face_network=FILE" in fails(capsys, footage, tmp_path, "identity=cluster", code=2)
    assert "out" in fails(capsys, footage, Path("/proc/out"))


# Who is who


@pytest.mark.parametrize(
    ("path", "identity", "split"),
    [
        ("ann/a.mp4", "ann", None),
        ("ann/session 1/a.mp4", "ann", None),
        ("a.mp4", None, None),
        ("train/ann/a.mp4", "ann", "train"),
        ("val/ann/videos/a.mp4", "ann", "val"),
        ("Test/ann/a.mp4", "ann", "val"),
        ("train/a.mp4", None, "train"),
        ("dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "id00012", None),
        ("vox1/whatever/id10270/x/00001.mp4", "id10270", None),
        ("ann/data/a.mp4", "ann", None),
    ],
)
def test_folders_name_people(path, identity, split, tmp_path):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    (source,) = find_sources(tmp_path)
    assert (source.name, source.identity, source.split) == (path, identity, split)


def test_pictures_in_no_folder_are_sources_of_their_own(tmp_path):
    for name in ("1.jpg", "2.jpg", ".hidden.jpg", "ann/1.jpg", "ann/2.jpg", "ann/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [source.name for source in find_sources(tmp_path)] == ["1.jpg", "2.jpg", "ann", "ann/a.mp4"]
    assert len(find_sources(tmp_path, people_in_folders=False)) == 5


def test_linked_folders_are_followed_once(footage, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/cara").symlink_to(footage / "ann")
    (tmp_path / "links/loop").symlink_to(tmp_path / "links")
    assert [source.name for source in find_sources(tmp_path / "links")] == ["cara/a.mp4"]


def test_files_in_no_folder_are_people_of_their_own_and_one_line_says_so(clip, portrait, tmp_path, caplog):
    root = laid_out(tmp_path / "in", {"a.mp4": clip, "b.mp4": portrait})
    prepare(root, tmp_path / "out")
    assert {row["identity"] for row in rows(tmp_path / "out")} == {"a.mp4", "b.mp4"}
    assert "2 files lie in no folder" in caplog.text and "face_network=FILE" in caplog.text
    caplog.clear()
    prepare(root, tmp_path / "quiet", "identity=file")
    assert "folder" not in caplog.text


def test_files_in_no_folder_can_be_refused(footage, clip, tmp_path):
    shutil.copy(clip, footage / "stray.mp4")
    prepare(footage, tmp_path / "out", "identity=folder")
    assert rejects(tmp_path / "out") == {("stray.mp4", "no_folder")}


class ByPixels:
    """Stands in for a face network: the aligned picture itself is the embedding."""

    def __init__(self, path):
        pass

    def __call__(self, faces):
        return faces.flatten(1)


def test_people_are_told_apart_by_face(clip, portrait, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MobileFaceNet", ByPixels)
    root = laid_out(tmp_path / "in", {"a.mp4": clip, "b.mp4": portrait, "c.mp4": clip})
    prepare(root, tmp_path / "out", "face_network=file", "identity_threshold=0.99")
    people = {row["source"]: row["identity"] for row in rows(tmp_path / "out")}
    assert people == {"a.mp4": "person-0000", "b.mp4": "person-0001", "c.mp4": "person-0000"}


def test_a_face_network_that_is_none_ends_the_run(clip, tmp_path, capsys):
    root = laid_out(tmp_path / "in", {"a.mp4": clip})
    assert "none.pt" in fails(capsys, root, tmp_path / "out", "face_network=none.pt")


def test_embeddings_that_point_the_same_way_are_one_person():
    random = np.random.default_rng(0)
    people = np.eye(8)[[0, 3, 0, 5, 3, 0]]
    assert cluster(people + random.normal(0, 0.05, people.shape), 0.6) == [0, 1, 0, 2, 1, 0]
    assert cluster(people[:1], 0.6) == [0] and cluster(people[:0], 0.6) == []


# Who is held out


def test_a_split_is_by_name_and_stays_when_more_people_come():
    few = assign_splits(dict.fromkeys(map(str, range(100))), 0.1)
    more = assign_splits(dict.fromkeys(map(str, range(1000))), 0.1)
    assert all(more[name] == split for name, split in few.items())
    assert sum(split == "val" for split in more.values()) == pytest.approx(100, abs=30)
    assert assign_splits(dict.fromkeys(map(str, range(100))), 0.1, seed=1) != few


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_of_two_people_one_is_in_each_split(seed, share):
    assert sorted(assign_splits({"ann": None, "ben": None}, share, seed).values()) == ["train", "val"]


def test_no_one_is_held_out_when_none_shall_be():
    assert set(assign_splits(dict.fromkeys("abc"), 0).values()) == {"train"}
    assert assign_splits({"ann": None}, 0.9) == {"ann": "train"}


def test_given_splits_are_kept():
    given = {"ann": "val", "ben": "train", **dict.fromkeys("cdefgh")}
    splits = assign_splits(given, 0.2)
    assert splits["ann"] == "val" and splits["ben"] == "train"
    assert assign_splits({"ann": "train", "ben": "train"}, 0.5) == {"ann": "train", "ben": "train"}


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
