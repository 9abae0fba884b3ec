"""Many jobs: what a table may say, what is computed once, what a bad row costs, and what a second run leaves alone."""

import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fewshot_heads import Reenactor, read_video
from fewshot_heads.animate import main as animate
from fewshot_heads.batch import main
from fewshot_heads.cli import job_runner
from fewshot_heads.cli.jobs import read_jobs
from fewshot_heads.errors import BadInput
from fewshot_heads.preparation.workers import WorkerDied
from tests.conftest import write_clip

HERE = "workers.processes=0"  # in this process


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, mona_path, driver_frames):
    """A folder with a portrait and two drivers of three frames. The reenactor is opened anew."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(mona_path, "mona.jpg")
    write_clip(tmp_path / "a.mp4", driver_frames[:3])
    write_clip(tmp_path / "b.mp4", driver_frames[3:6])
    job_runner._opened.cache_clear()
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """The paths of which heads and motions are made."""
    made = []

    def count(name, path_of):
        method = getattr(Reenactor, name)

        def counted(self, inputs, *rest):
            made.append((name, Path(path_of(inputs)).name))
            return method(self, inputs, *rest)

        monkeypatch.setattr(Reenactor, name, counted)

    count("embed", lambda pictures: pictures[0])
    count("track", lambda driver: getattr(driver, "path", "frames"))
    return made


def write_table(*rows, header="sources\tdriver\toutput\toptions"):
    with open("jobs.tsv", "w", encoding="utf-8") as file:
        file.write("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")


def told(capsys, *options, code=1, table="jobs.tsv"):
    """The lines on stderr of a run that must end with this code."""
    assert main([table, *options]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("W0")]
    assert not any("Traceback" in line for line in lines)
    return lines


def frames(path):
    return np.stack(list(read_video(path)))


def test_every_row_is_what_animate_makes_and_heads_and_motions_are_made_once(calls, capsys):
    write_table(
        ("mona.jpg", "a.mp4", "1.mp4"), ("mona.jpg", "b.mp4", "2.mp4", "pose=0.5 paste_back=false"),
        ("mona.jpg", "a.mp4", "3.mp4", "expression=0 side_by_side=true"), ("mona.jpg", "b.mp4", "4.gif", "crf=40"),
    )  # fmt: skip
    assert main(["jobs.tsv", "crf=20", "--pose", "0.7", HERE]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 written, 0 finished before"
    assert sorted(calls) == [("embed", "mona.jpg"), ("track", "a.mp4"), ("track", "b.mp4")]
    assert sorted(os.listdir()) == ["1.mp4", "2.mp4", "3.mp4", "4.gif", "a.mp4", "b.mp4", "jobs.tsv", "mona.jpg"]
    options = ["crf=20", "pose=0.5", "paste_back=false", "threads=1"]
    assert animate(["mona.jpg", "b.mp4", "-o", "alone.mp4", *options]) == 0
    assert np.abs(frames("alone.mp4").astype(int) - frames("2.mp4")).max() <= 2


def test_a_row_may_have_a_video_as_source(calls, capsys):
    write_table(
        ("a.mp4", "b.mp4", "1.mp4", "--video expression=1.5"), ("mona.jpg;a.mp4", "b.mp4", "2.mp4", "--video"),
        ("a.mp4", "b.mp4", "3.mp4", "--video motion=absolute"),
    )  # fmt: skip
    first, second, _ = told(capsys, HERE)
    assert "line 3: --video takes one video and a driver" in first and "line 4: motion=absolute" in second
    assert calls == [("track", "b.mp4"), ("track", "a.mp4")]
    assert animate(["--video", "a.mp4", "b.mp4", "-o", "alone.mp4", "expression=1.5", "threads=1"]) == 0
    assert np.abs(frames("alone.mp4").astype(int) - frames("1.mp4")).max() <= 2


def test_what_a_head_or_a_motion_depends_on_makes_another_one(calls):
    write_table(
        ("mona.jpg", "a.mp4", "1.mp4"), ("mona.jpg", "a.mp4", "2.mp4", "smoothing=0"),
        ("mona.jpg;mona.jpg", "a.mp4", "3.mp4"),
    )  # fmt: skip
    assert main(["jobs.tsv", HERE]) == 0
    assert sorted(calls) == [("embed", "mona.jpg")] * 2 + [("track", "a.mp4")] * 2


def test_finished_videos_are_left_alone_and_an_unfinished_one_is_made(calls, capsys):
    write_table(("mona.jpg", "a.mp4", "1.mp4"), ("mona.jpg", "b.mp4", "2.mp4"))
    assert main(["jobs.tsv", HERE]) == 0
    before = os.stat("1.mp4").st_mtime_ns
    os.remove("2.mp4")
    calls.clear()
    assert main(["jobs.tsv", HERE]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 written, 1 finished before"
    assert calls == [("embed", "mona.jpg"), ("track", "b.mp4")] and os.stat("1.mp4").st_mtime_ns == before
    os.remove("a.mp4")  # a finished video needs its inputs no more
    assert main(["jobs.tsv", HERE]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 written, 2 finished before"


def test_overwrite_makes_finished_videos_again():
    write_table(("mona.jpg", "a.mp4", "1.mp4"))
    shutil.copy("b.mp4", "1.mp4")
    assert main(["jobs.tsv", "--overwrite", HERE]) == 0
    assert frames("1.mp4").shape[1:] != frames("b.mp4").shape[1:]


def test_a_row_neither_reads_nor_replaces_a_file_of_another_row(capsys):
    shutil.copy("b.mp4", "1.mp4")
    before = Path("b.mp4").read_bytes()
    write_table(
        ("mona.jpg", "a.mp4", "1.mp4"), ("mona.jpg", "./1.mp4", "2.mp4"), ("mona.jpg", "b.mp4", "1.mp4"),
        ("1.mp4", "a.mp4", "4.mp4", "--video"), ("mona.jpg", "b.mp4", "5.mp4", "poes=1"),
    )  # fmt: skip
    jobs = dict(read_jobs(Path("jobs.tsv"), []))
    assert [str(jobs[line]).split(": ")[1].split(";")[0] for line in (3, 4, 5)] == [
        "is the output of line 2", "is the output of line 2 too", "is the output of line 2",
    ]  # fmt: skip
    write_table(("mona.jpg", "b.mp4", "2.mp4"), ("mona.jpg", "a.mp4", "b.mp4"))
    reason, last = told(capsys, "--overwrite", HERE)
    assert "b.mp4: is an input of line 2; choose another output" in reason and "(1 written" in last
    assert Path("b.mp4").read_bytes() == before


def test_a_bad_row_has_its_reason_and_costs_no_other_row(capsys, driver_frames):
    write_clip("wall.mp4", [np.full_like(driver_frames[0], 90)] * 2)
    write_table(
        ("mona.jpg", "a.mp4", "1.mp4"), ("nobody.jpg", "a.mp4", "2.mp4"), ("mona.jpg", "wall.mp4", "3.mp4"),
        ("mona.jpg", "wall.mp4", "4.mp4"), ("mona.jpg", "a.mp4", "5.mp4", "poes=1"), ("mona.jpg", "a.mp4", "6.txt"),
        ("mona.jpg", "a.mp4", "./1.mp4"), ("mona.jpg", "", "8.mp4"), ("mona.jpg", "a.mp4", "9.mp4", "", "x"),
        ("mona.jpg", "a.mp4", "mona.jpg"), ("mona.jpg", "a.mp4", "11.mp4", "'"), ("mona.jpg", "a.mp4", "no/12.mp4"),
        ("mona.jpg", "a.mp4", "13.mp4", "reference=7"),
    )  # fmt: skip
    *lines, last = told(capsys, HERE)
    reasons = {int(line.split(": ")[0].removeprefix("jobs.tsv, line ")): line for line in lines if "jobs.tsv," in line}
    expected = {
        3: "nobody.jpg: no such file", 4: "no face in any of 2 frames", 5: "no face in any of 2 frames",
        6: "did you mean 'pose'", 7: "unknown kind of file", 8: "is the output of line 2 too", 9: "no driver",
        10: "cells too many", 11: "unknown kind of file", 12: "No closing quotation", 13: "there is no folder",
        14: "driver has frames 0 to 2",
    }  # fmt: skip
    assert list(reasons) == list(expected)
    assert all(text in reasons[line] for line, text in expected.items())
    assert last == (
        "error: jobs.tsv: 12 of 13 rows failed (1 written, 0 finished before); mend them and run this again"
    )
    assert frames("1.mp4").shape[0] == 3 and not [name for name in os.listdir() if name.startswith(".")]


def test_parts_lie_beside_the_first_output_as_the_folder_of_the_table_may_be_read_only(monkeypatch, tmp_path):
    (tmp_path / "videos").mkdir()
    used = []

    def see(work, items, scratch, workers):
        used.append(scratch.parent)
        return iter(())

    monkeypatch.setattr(job_runner, "run_in_workers", see)
    write_table(("mona.jpg", "a.mp4", "videos/1.mp4"))
    assert main(["jobs.tsv", HERE]) == 0
    assert used == [tmp_path / "videos"] * 2 and not os.listdir(tmp_path / "videos")


def test_a_worker_that_dies_costs_its_rows_alone(monkeypatch, capsys):
    def dies_on_b(work, items, workers):
        for item in items:
            if "b.mp4" in str(item):
                yield item, WorkerDied("the process that worked on it crashed or was killed")
            else:
                work(item)
                yield item, None

    monkeypatch.setattr(job_runner, "map_in_processes", dies_on_b)
    write_table(("mona.jpg", "a.mp4", "1.mp4"), ("mona.jpg", "b.mp4", "2.mp4"))
    line, _ = told(capsys)
    assert line == "jobs.tsv, line 3: the process that worked on it crashed or was killed"
    assert os.path.exists("1.mp4")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"), (b"a.jpg\tb.mp4\tc.mp4\n", "no column sources"), (b"sources,driver,output\n", "no column"),
        (b"sources\tdriver\toutput\n\xff\tb\tc\n", "UTF-8"), (b"sources\tdriver\toutput\n", "no row"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_one_line(content, reason, capsys, folder):
    (folder / "jobs.tsv").write_bytes(content)
    (line,) = told(capsys)
    assert line.startswith("error: jobs.tsv: ") and reason in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["jobs.tsv", "poes=1"], "did you mean 'pose'"), (["jobs.tsv", "crf=99"], "0 to 51"),
        (["jobs.tsv", "more.tsv"], "one table"), (["jobs.tsv", "workers=rya"], "local or ray"),
        (["crf=1"], "one table"),
    ],
)  # fmt: skip
def test_a_wrong_option_of_the_command_is_one_line(arguments, reason, capsys):
    write_table(("mona.jpg", "a.mp4", "1.mp4"))
    (line,) = told(capsys, *arguments[1:], code=2, table=arguments[0])
    assert reason in line


@pytest.mark.parametrize("workers", ["local", "ray"])
def test_two_workers_share_the_jobs(workers, capsys):
    options = ["workers.processes=2"]
    if workers == "ray":
        pytest.importorskip("ray")
        options = ["workers=ray", "workers.address=local"]
    write_table(
        ("mona.jpg", "a.mp4", "1.mp4"), ("mona.jpg", "b.mp4", "2.mp4"), ("nobody.jpg", "a.mp4", "3.mp4"),
        ("mona.jpg", "b.mp4", "4.mp4", "reference=9"),
    )  # fmt: skip
    lines = told(capsys, *options)
    assert [line.split(":")[0] for line in lines[-3:]] == ["jobs.tsv, line 4", "jobs.tsv, line 5", "error"]
    assert "2 written" in lines[-1] and len(frames("1.mp4")) == len(frames("2.mp4")) == 3


def test_a_table_of_one_endless_line_is_refused_before_it_fills_the_memory(tmp_path):
    table = tmp_path / "jobs.tsv"
    table.touch()
    os.truncate(table, 3 * 2**30)  # a sparse file
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="no tab-separated text"):
            next(read_jobs(table, []))
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
