"""`preparation.pipeline`: what a run writes, refuses and resumes."""

import os
import shutil

from fewshot_heads.preparation import work_units
from fewshot_heads.preparation.workers import WorkerDied
from tests.preparation.conftest import PIPELINE, contents, fails, interrupt, prepare, rejects, rows


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


def test_a_finished_work_unit_is_not_done_again(footage, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{PIPELINE}.write_shards", interrupt)
    assert prepare(footage, tmp_path / "out") == 130
    monkeypatch.undo()
    monkeypatch.setattr(work_units, "write_work_unit", None)
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
    monkeypatch.setattr(f"{PIPELINE}.write_shards", interrupt)
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


def test_a_file_that_crashes_its_worker_is_listed(footage, tmp_path, monkeypatch):
    def dying(work, items, workers):
        for item in items:
            died = item.name == "ann/a.mp4"
            if not died:
                work(item)
            yield item, WorkerDied("killed") if died else None

    monkeypatch.setattr(f"{PIPELINE}.map_in_processes", dying)
    assert prepare(footage, tmp_path / "out") == 0
    assert rejects(tmp_path / "out") == {("ann/a.mp4", "crashed")}


def test_files_in_no_folder_can_be_refused(footage, clip, tmp_path):
    shutil.copy(clip, footage / "stray.mp4")
    prepare(footage, tmp_path / "out", "identity=folder")
    assert rejects(tmp_path / "out") == {("stray.mp4", "no_folder")}


def test_nothing_that_can_be_used(footage, tmp_path, capsys):
    line = fails(capsys, footage, tmp_path / "out", "min_face=1000")
    assert "no clip is left (2 small_face)" in line and "rejected.jsonl" in line
    assert len(rows(tmp_path / "out", "rejected.jsonl")) == 2
    assert prepare(footage, tmp_path / "out") == 0  # with other settings, in the same place


def test_no_footage_at_all(tmp_path, capsys):
    assert "no such folder" in fails(capsys, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "in").mkdir()
    assert "no videos or pictures" in fails(capsys, tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
