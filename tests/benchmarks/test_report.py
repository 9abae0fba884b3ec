"""The page and the tables of `python -m benchmarks.report`, of a small run made here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from benchmarks.plots import Strip, strip_plot, ticks
from benchmarks.report import main
from fewshot_heads.errors import BadInput
from tests.conftest import write_clip

COLUMNS = {"still": "still source", "warp": "bare warp", "realtime": "realtime", "realtime+tuned": "realtime, tuned"}
MEASURES = {
    "l1": {"title": "L1 ↓", "digits": 4, "better": "low"},
    "psnr": {"title": "PSNR, dB ↑", "digits": 2, "better": "high"},
    "vgg": {"title": "VGG-19 distance ↓", "digits": 3, "better": "low"},
    "csim": {"title": "CSIM ↑", "digits": 3, "better": "high"},
    "jitter": {"title": "jitter, times the driver's", "digits": 2, "better": "truth"},
    "fid": {"title": "FID ↓", "digits": 1, "better": "low"},
}
FAILURE = "realtime: NoFaceFound: no <face> & nothing else"
VOID = {"meta", "link", "img", "line", "circle", "br"}


class Page(HTMLParser):
    """A page's tags, and whether they are balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def measured(random, measures, quality):
    """Numbers of one case, better for a smaller quality."""
    noise = random.uniform(0.9, 1.1, len(COLUMNS))
    values = {"l1": 0.05, "psnr": 20.0, "vgg": 0.5, "csim": 0.8, "jitter": 1.0}
    signs = {"psnr": -1, "csim": -1, "jitter": 0}
    return {
        column: {name: values[name] * noise[i] * (1 + signs.get(name, 1) * quality) for name in measures}
        for i, column in enumerate(COLUMNS)
    }


def tabled(rows, protocol, k_shot):
    """A table of the rows as benchmarks.quality makes it."""
    group = [row for row in rows if (row["protocol"], row["k_shot"]) == (protocol, k_shot)]
    good = [row for row in group if "failed" not in row]
    columns = {}
    for column in COLUMNS:
        columns[column] = {}
        for name in good[0]["columns"][column]:
            values = np.array([row["columns"][column][name] for row in good])
            middle, error = values.mean(), values.std() / len(values) ** 0.5
            columns[column][name] = {"mean": middle, "low": middle - 2 * error, "high": middle + 2 * error}
    counts = {
        "cases": len(good),
        "identities": len({row["identity"] for row in good}),
        "failed": len(group) - len(good),
    }
    worst = {"realtime": [good[-1]["case"]]}
    return {"protocol": protocol, "k_shot": k_shot, **counts, "columns": columns, "worst": worst}


@pytest.fixture
def report():
    """A quality.json: five cases of self-reenactment, a failed one, three of cross-reenactment."""
    random, rows = np.random.default_rng(0), []
    for i, quality in enumerate((0.2, 0.5, 0.1, 0.4, 0.3)):
        row = {"protocol": "self_reenactment", "k_shot": 1, "case": f"id{i}/clip", "identity": f"id{i}"}
        files = {"sheet": f"cases/self-{i}.jpg", "video": f"cases/self-{i}.mp4"}
        rows.append(
            row | {"files": files, "columns": measured(random, ["l1", "psnr", "vgg", "csim", "jitter"], quality)}
        )
    rows.append({"protocol": "self_reenactment", "k_shot": 1, "case": "id7/clip", "identity": "id7", "failed": FAILURE})
    for i, quality in enumerate((0.1, 0.2, 0.3)):
        row = {"protocol": "cross_reenactment", "k_shot": 1, "case": f"id{i}/clip by id9/clip", "identity": f"id{i}"}
        files = {"sheet": None, "video": None}
        rows.append(row | {"files": files, "columns": measured(random, ["csim", "jitter"], quality)})
    for row in rows[:5]:
        row["columns"]["realtime"]["vgg"] = {"id2": 0.1, "id0": 0.2, "id4": 0.3, "id3": 0.4, "id1": 0.5}[
            row["identity"]
        ]
    for row in rows[6:]:
        row["columns"]["realtime"]["csim"] = {"id0": 0.7, "id1": 0.9, "id2": 0.8}[row["identity"]]
    tables = [tabled(rows, "self_reenactment", 1), tabled(rows, "cross_reenactment", 1)]
    for column in COLUMNS:
        tables[0]["columns"][column]["fid"] = {"mean": 12.5 + len(column), "low": None, "high": None}
    rows[0]["columns"]["still"]["jitter"] = None
    machine = {"cpu": "a <cpu>", "cores": 2, "system": "Linux", "python": "3.11", "torch": "2.9", "torch_threads": 1}
    return {
        "command": "python -m benchmarks.quality clips=val",
        "machine": machine,
        "model": {"name": "realtime", "sha256": "a1" * 32},
        "judges": {"vgg": {"name": "VGG-19", "sha256": "b2" * 32}, "lpips": None},
        "data": {"clips": "val", "index": "c3" * 32, "count": 6},
        "measures": MEASURES,
        "columns": COLUMNS,
        "tables": tables,
        "rows": rows,
    }


@pytest.fixture
def folder(report, tmp_path):
    """The run on disk, with tiny pictures and videos."""
    (tmp_path / "run" / "cases").mkdir(parents=True)
    (tmp_path / "run" / "quality.json").write_text(json.dumps(report, allow_nan=False))
    for i in range(5):
        tile = np.full((32, 96, 3), 40 * i, np.uint8)
        cv2.imwrite(str(tmp_path / "run" / "cases" / f"self-{i}.jpg"), tile)
        write_clip(tmp_path / "run" / "cases" / f"self-{i}.mp4", [tile] * 3)
    return tmp_path / "run"


def write(folder, *words):
    main([str(folder), *words])
    return (folder / "report.html").read_text(), (folder / "report.md").read_text()


def rewrite(folder, **parts):
    path = folder / "quality.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))


def test_the_page_is_balanced_and_fetches_nothing(folder):
    text, _ = write(folder)
    page = Page(text)
    fetched = [value for tag, attributes in page.tags for key, value in attributes.items() if key in ("src", "poster")]
    fetched += [attributes["href"] for attributes in page.all("link")]
    assert fetched and all(value.startswith("data:") for value in fetched)
    assert not page.all("script") and "@import" not in text and "url(" not in text


def test_everything_measured_is_on_the_page_and_in_the_tables(folder, report):
    text, tables = write(folder)
    words = " ".join(Page(text).texts)
    judge = report["judges"]["vgg"]["sha256"]
    named = [*COLUMNS.values(), *(measure["title"] for measure in MEASURES.values()), FAILURE, report["command"], judge]
    for name in [*named, report["model"]["sha256"], report["data"]["index"], "a <cpu>", "not used: lpips"]:
        assert name in words and name in tables
    assert "5 cases of 5 identities, 1 failed" in words and "Worst of realtime: id4/clip" in words


def test_the_best_of_a_row_is_bold_where_one_is_better(folder, report):
    text, tables = write(folder)
    lines = {line.split(" | ")[0].strip("| "): line for line in tables.split("## Cross")[0].splitlines()}
    psnr = {column: means["psnr"]["mean"] for column, means in report["tables"][0]["columns"].items()}
    cells = lines["PSNR, dB ↑"].split(" | ")[1:]
    bold = [column for column, cell in zip(COLUMNS, cells, strict=True) if "**" in cell]
    assert bold == [max(psnr, key=psnr.get)]
    assert "**" not in lines["jitter, times the driver's"]
    assert "| 17.5 | **16.5** |" in lines["FID ↓"]
    assert f"<strong>{max(psnr.values()):.2f}</strong>" in text


def test_columns_that_all_show_the_same_have_no_best(folder, report):
    for means in report["tables"][0]["columns"].values():
        means["l1"] = {"mean": 0.0, "low": 0.0, "high": 0.0}
    rewrite(folder, tables=report["tables"])
    _, tables = write(folder)
    assert "| L1 ↓ | 0.0000 [0.0000, 0.0000] |" in tables


def places(text, heading):
    section = text.split(f"{heading}</h2>")[1].split("</section>")[0]
    return re.findall(r"<h4><b>(\w+)</b>([^<]*)</h4>", section)


def test_best_median_and_worst_are_shown(folder):
    text, _ = write(folder)
    assert places(text, "Self-reenactment, 1 source picture") == [
        ("Best", "id2/clip"),
        ("Median", "id4/clip"),
        ("Worst", "id1/clip"),
    ]
    cross = [("Best", "id1/clip by id9/clip"), ("Median", "id2/clip by id9/clip"), ("Worst", "id0/clip by id9/clip")]
    assert places(text, "Cross-reenactment, 1 source picture") == cross  # no vgg: by csim
    alts = [image["alt"] for image in Page(text).all("img")]
    assert [alt.split(":")[0] for alt in alts] == [
        "Best case, id2/clip",
        "Median case, id4/clip",
        "Worst case, id1/clip",
    ]
    assert all({"controls", "muted", "loop"} <= set(video) for video in Page(text).all("video"))


def test_another_column_can_rank(folder, report):
    text, _ = write(folder, "rank=warp")
    vgg = {row["case"]: row["columns"]["warp"]["vgg"] for row in report["rows"][:5]}
    assert places(text, "Self-reenactment, 1 source picture")[0] == ("Best", min(vgg, key=vgg.get))
    assert "of bare warp" in text


def test_a_plot_shows_every_case_with_a_number(folder, report):
    text, _ = write(folder)
    section = text.split("</section>")[0]
    plots = dict(re.findall(r"<figcaption>([^<]*)</figcaption>(<svg.*?</svg>)", section))
    assert plots["L1 ↓"].count('class="case"') == 5 * len(COLUMNS)
    assert plots["jitter, times the driver&#x27;s"].count('class="case"') == 5 * len(COLUMNS) - 1
    assert plots["FID ↓"].count('class="mean"') == len(COLUMNS) and 'class="interval"' not in plots["FID ↓"]
    value = report["rows"][3]["columns"]["warp"]["l1"]
    assert f"<title>id3/clip: {value:.4f}</title>" in plots["L1 ↓"]


def test_tables_have_headers_with_a_scope(folder):
    headers = Page(write(folder)[0]).all("th")
    assert headers and {header["scope"] for header in headers} == {"col", "row"}


def test_a_missing_video_is_said(folder):
    (folder / "cases" / "self-1.mp4").unlink()
    text, _ = write(folder)
    assert "The video cases/self-1.mp4 is missing." in Page(text).texts
    assert len(Page(text).all("video")) == 2


def test_the_same_run_gives_the_same_bytes(folder):
    assert write(folder) == write(folder)


def test_speed_and_tuning_are_shown_with_their_command_and_machine(folder, tmp_path):
    result = {"command": "python -m benchmarks.speed long=0", "machine": {"cpu": "another", "accelerator": None}}
    (tmp_path / "speed.json").write_text(json.dumps(result))
    (tmp_path / "speed.md").write_text(
        "median of 3\n\n|  | cores: 2 |\n| --- | ---: |\n| raster, ms | 0.3 [0.2, 0.4] |\n"
    )
    text, tables = write(folder, f"speed={tmp_path / 'speed.json'}")
    assert '<th scope="row">raster, ms</th><td class="right">0.3 <small>[0.2, 0.4]</small></td>' in text
    assert "python -m benchmarks.speed long=0" in text and "cpu another" in text and "accelerator" not in text
    assert "| raster, ms | 0.3 [0.2, 0.4] |" in tables
    (tmp_path / "speed.md").unlink()
    with pytest.raises(BadInput, match=r"speed\.md: .*benchmarks\.speed"):
        write(folder, f"speed={tmp_path / 'speed.json'}")


def test_differences_from_the_warp_have_a_sign(folder, report):
    report["tables"][0]["against_warp"] = {"realtime": {"l1": {"mean": -0.01, "low": -0.02, "high": 0.001}}}
    rewrite(folder, tables=report["tables"])
    assert "| L1 ↓ | -0.0100 [-0.0200, +0.0010] |" in write(folder)[1]


@pytest.mark.parametrize(
    ("part", "value", "complaint"),
    [
        ("tables", {}, "it.tables is no list"),
        ("columns", {"still": "still source"}, "it.columns has no 'realtime'"),
        ("measures", {}, "it.measures has no"),
        ("measures", {"l1": {"title": "L1", "digits": 4}}, "it.measures.l1 has no 'better'"),
        ("rows", [{"protocol": "paintings", "k_shot": 1, "case": "x"}], r"it.rows\[0\] has no 'columns'"),
        ("data", {"clips": "val", "index": "0", "count": "many"}, "it.data.count is no int"),
    ],
)
def test_a_file_of_another_shape_is_named_with_what_is_wrong(folder, part, value, complaint):
    rewrite(folder, **{part: value})
    with pytest.raises(BadInput, match=rf"quality\.json: .*{complaint}.*run benchmarks\.quality again"):
        write(folder)


def test_errors_are_one_line_that_names_the_remedy(folder, tmp_path):
    for words, complaint in (
        ([], "benchmarks.quality wrote"),
        ([str(tmp_path)], r"quality\.json: No such file.*give what benchmarks\.quality wrote"),
        ([str(folder), "rang=warp"], "did you mean 'rank'"),
        ([str(folder), "rank=paper"], "rank=paper: .*still, warp, realtime"),
    ):
        with pytest.raises(BadInput, match=complaint) as caught:
            main(words)
        assert "\n" not in str(caught.value)
    (folder / "quality.json").write_text("[1, 2")
    with pytest.raises(BadInput, match="not JSON"):
        write(folder)


def test_a_plot_of_values_that_show_as_the_same_is_left_out():
    strips = [Strip("still", {"a": 1.0, "b": 1.0 - 1e-9}, []), Strip("warp", {"a": 1.0}, [1.0])]
    assert strip_plot("CSIM ↑", strips, 3) == "" == strip_plot("CSIM ↑", [Strip("still", {}, [])], 3)
    assert "1.0" in strip_plot("CSIM ↑", [*strips, Strip("realtime", {"a": 0.9}, [])], 3)


def test_ticks_are_round_and_few():
    assert ticks(0.013, 0.094) == pytest.approx([0.02, 0.04, 0.06, 0.08])
    assert ticks(-3, 12) == pytest.approx([0, 5, 10])
    random = np.random.default_rng(0)
    for low, span in zip(random.normal(0, 100, 200), 10 ** random.uniform(-4, 4, 200), strict=True):
        marks = ticks(low, low + span)
        assert 2 <= len(marks) <= 5 and low - 1e-6 <= marks[0] and marks[-1] <= low + span + 1e-6


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_chromium_shows_the_page_without_a_complaint(folder, tmp_path):
    write(folder)
    shot = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=3000"]
    options += ["--window-size=1200,2400", f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}"]
    page = (folder / "report.html").as_uri()
    done = subprocess.run([CHROMIUM, *options, page], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    picture = cv2.imread(str(shot))
    assert picture.shape[:2] == (2400, 1200) and picture.std() > 10
