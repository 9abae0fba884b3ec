"""Makes the page and the tables of a quality run: RUN/report.html (self-contained) and RUN/report.md.

python -m benchmarks.report RUN [key=value ...]

RUN       the folder that benchmarks.quality wrote
rank      realtime   the column whose best, median and worst case are shown
speed                a result of benchmarks.speed (.json, its table beside it as .md) to show too
tuning               a result of benchmarks.tuning, likewise
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from benchmarks import common, page
from benchmarks.plots import Strip, strip_plot
from benchmarks.shapes import RESULT, load, load_run, text
from fewshot_heads.errors import BadInput

DEFAULTS = {"rank": "realtime", "speed": "", "tuning": ""}
RANKING = ("vgg", "csim")  # the first measure that the run has
BEST = {"low": min, "high": max}

TURNED = "One picture of a person is driven by another one of the same recording, which is the reference."
PROTOCOLS = {  # protocol -> title, description
    "self_reenactment": ("Self-reenactment", "A clip drives pictures of itself; its true frames are the reference."),
    "cross_reenactment": ("Cross-reenactment", "Another person's clip drives the picture; there is no true frame."),
    "identity_round_trip": ("Identity round trip", "A picture drives itself, and should come back as it was."),
    "paintings": ("Paintings", "A clip drives a painted portrait; there is no true frame."),
    "turned_under_20": ("Turned by less than 20 degrees", TURNED),
    "turned_20_to_40": ("Turned by 20 to 40 degrees", TURNED),
    "turned_over_40": ("Turned by more than 40 degrees", TURNED),
}
LEGEND = "A faint dot is a case; the full one is the mean over identities, with its 95 % interval."
OTHERS = {"speed": "Speed and memory", "tuning": "Fine-tuning"}


@dataclass(frozen=True)
class Section:
    """One protocol with one number of sources: its table, plots and cases.

    Attributes:
        report: content of quality.json.
        table: one of its tables.
        rank: column whose best, median and worst case are shown.
    """

    report: dict[str, Any]
    table: dict[str, Any]
    rank: str

    @property
    def title(self) -> str:
        """Heading: protocol and number of sources."""
        name, count = self.table["protocol"], self.table["k_shot"]
        title = PROTOCOLS[name][0] if name in PROTOCOLS else name.replace("_", " ").capitalize()
        return f"{title}, {count} source picture{'s' if count > 1 else ''}"

    @cached_property
    def columns(self) -> dict[str, str]:
        """Name -> title of the columns in this table."""
        return {name: title for name, title in self.report["columns"].items() if name in self.table["columns"]}

    @cached_property
    def measures(self) -> dict[str, dict[str, Any]]:
        """Name -> title, digits and direction of the measures in this table."""
        used = set().union(*self.table["columns"].values())
        return {name: measure for name, measure in self.report["measures"].items() if name in used}

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The cases of this table."""
        section = (self.table["protocol"], self.table["k_shot"])
        return [row for row in self.report["rows"] if (row["protocol"], row["k_shot"]) == section]

    def values(self, column: str, measure: str) -> list[tuple[dict[str, Any], float]]:
        """Returns (case, value) of the cases that have a number."""
        good = [row for row in self.rows if "failed" not in row]
        found = [(row, row["columns"].get(column, {}).get(measure)) for row in good]
        return [(row, value) for row, value in found if value is not None]

    @cached_property
    def ranking(self) -> tuple[str, list[dict[str, Any]]]:
        """The measure that ranks the cases, and the cases from best to worst."""
        for name in RANKING:
            if name in self.measures and (known := self.values(self.rank, name)):
                sign = -1 if self.measures[name]["better"] == "high" else 1
                return name, [row for row, _ in sorted(known, key=lambda pair: (sign * pair[1], pair[0]["case"]))]
        return "", []

    def markdown(self) -> str:
        """Returns means, differences from the bare warp, skin tones, the worst and the failed cases."""
        description = PROTOCOLS.get(self.table["protocol"], ("", ""))[1]
        counts = "{cases} cases of {identities} identities, {failed} failed".format(**self.table)
        blocks = [f"{description} {counts}; mean over identities [95 % interval].".strip()]
        if self.columns:
            blocks.append(self._table(self.table["columns"]))
        if self.table.get("against_warp"):
            blocks += ["Difference from the bare warp on the same cases:", self._table(self.table["against_warp"], "+")]
        for half, columns in (self.table.get("by_tone") or {}).items():
            blocks += [f"Skin of the source {half} (individual typology angle):", self._table(columns)]
        worst = {self.columns.get(name, name): cases for name, cases in self.table["worst"].items()}
        notes = [f"- Worst of {title}: {', '.join(cases)}" for title, cases in worst.items()]
        failed = [(row["case"], " ".join(row["failed"].split())) for row in self.rows if "failed" in row]
        notes += [f"- **Failed**, {case}: {reason}" for case, reason in failed]
        return "\n\n".join([*blocks, "\n".join(notes)]).strip()

    def figures(self, folder: Path) -> str:
        """Returns HTML: a plot of each measure, and the best, median and worst case."""
        plots, (name, rows) = [self._plot(name) for name in self.measures], self.ranking
        blocks = [f'<h3>Every case</h3><p>{LEGEND}</p><div class="plots">{"".join(plots)}</div>'] if any(plots) else []
        if rows:
            positions = {len(rows) // 2: "Median", len(rows) - 1: "Worst", 0: "Best"}
            title = f"Cases, by {self.measures[name]['title']} of {self.report['columns'][self.rank]}"
            blocks.append(f"<h3>{escape(title)}</h3>")
            blocks += [self._case(position, rows[i], folder) for i, position in sorted(positions.items())]
        return "\n".join(blocks)

    def _table(self, columns: dict[str, Any], sign: str = "") -> str:
        """Returns a table of measures x columns.

        The best value of a row is bold, unless all are equal.

        Args:
            columns: column -> measure -> mean and bounds.
            sign: "+" for differences, which have no best value.
        """
        titles = {name: title for name, title in self.columns.items() if name in columns}
        lines = []
        for name, measure in self.measures.items():
            cells = [common.cell(columns[column].get(name, {}), measure["digits"], sign) for column in titles]
            known = {text.split()[0] for text in cells} - {"–"}
            if not sign and measure["better"] in BEST and len(known) > 1:
                best = BEST[measure["better"]](known, key=float)
                cells = [text.replace(best, f"**{best}**", 1) if text.split()[0] == best else text for text in cells]
            if known:
                lines.append([measure["title"], *cells])
        return common.table(["", *titles.values()], lines)

    def _plot(self, name: str) -> str:
        measure, strips = self.measures[name], []
        for column, title in self.columns.items():
            cases = {row["case"]: value for row, value in self.values(column, name)}
            mean = self.table["columns"][column].get(name, {})
            bounds = [mean[key] for key in ("mean", "low", "high") if mean.get(key) is not None]
            strips.append(Strip(title, cases, bounds, column == self.rank))
        plot = strip_plot(measure["title"], strips, measure["digits"])
        return f"<figure><figcaption>{escape(measure['title'])}</figcaption>{plot}</figure>" if plot else ""

    def _case(self, position: str, row: dict[str, Any], folder: Path) -> str:
        """Returns HTML with contact sheet, video and numbers of one case."""
        means = {name: {key: {"mean": value} for key, value in found.items()} for name, found in row["columns"].items()}
        blocks = [f"<h4><b>{position}</b>{escape(row['case'])}</h4>"]
        labels = ["driver", *self.columns.values()]
        if sheet := row["files"].get("sheet"):
            blocks.append(page.sheet(folder, sheet, labels, f"{position} case, {row['case']}"))
        if video := row["files"].get("video"):
            blocks.append(page.video(folder, video, ["source", *labels], f"{position} case, {row['case']}"))
        blocks.append(f"<figcaption>{page.to_html(self._table(means))}</figcaption>")
        return f'<figure class="case">{"".join(blocks)}</figure>'


def markdown(report: dict[str, Any]) -> str:
    """Returns every table of a quality run as Markdown."""
    sections = [Section(report, table, "") for table in report["tables"]]
    return "\n\n".join(f"### {section.title}\n\n{section.markdown()}" for section in sections)


def facts(report: dict[str, Any]) -> dict[str, str]:
    """Returns command and machine of a result: name -> Markdown."""
    machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in report["machine"].items() if value)
    return {"Command": f"`{report['command']}`", "Machine": machine}


def head(report: dict[str, Any]) -> page.Chapter:
    """Returns the first chapter: models, judging networks and clips."""
    data, model = report["data"], report.get("model") or {"name": "no model", "sha256": ""}
    models = report.get("models") or {model["name"]: model["sha256"]}
    judges = [f"{judge['name']} `{judge['sha256']}`" for judge in report["judges"].values() if judge]
    unused = [name for name, judge in report["judges"].items() if not judge]
    about = {
        "Models": ", ".join(f"{name} `{digest}`" for name, digest in models.items()),
        "Judges": ", ".join(judges) + (f"; not used: {', '.join(unused)}" if unused else ""),
        "Clips": f"{data['count']} from {data['clips']}, list `{data['index']}`",
    }
    return page.Chapter(f"Quality of {model['name']}", about | facts(report))


def chapters(folder: Path, report: dict[str, Any], chosen: dict[str, Any]) -> Iterator[page.Chapter]:
    """Yields the head, each table of the run, and the results of other benchmarks."""
    yield head(report)
    for table in report["tables"]:
        section = Section(report, table, chosen["rank"])
        yield page.Chapter(section.title, {}, section.markdown(), section.figures(folder))
    for kind, title in OTHERS.items():
        if chosen[kind]:
            path, writer = Path(chosen[kind]), f"benchmarks.{kind}"
            yield page.Chapter(title, facts(load(path, RESULT, writer)), text(path.with_suffix(".md"), writer).strip())


def main(argv: list[str]) -> None:
    """Writes report.html and report.md into the folder of a run."""
    if not argv:
        raise BadInput("no folder given: name the one that benchmarks.quality wrote; see --help")
    folder, chosen = Path(argv[0]), common.settings(DEFAULTS, argv[1:])
    report = load_run(folder)
    if chosen["rank"] not in report["columns"]:
        raise BadInput(f"rank={chosen['rank']}: no such column; there are {', '.join(report['columns'])}")
    readme, contents = Path(__file__).with_name("README.md"), [*chapters(folder, report, chosen)]
    inside = folder.resolve().is_relative_to(readme.parent.parent)
    link = os.path.relpath(readme, folder) if inside else "benchmarks/README.md"  # no path of this machine on the page
    (folder / "report.md").write_text(page.markdown(contents), encoding="utf-8")
    (folder / "report.html").write_text(page.html(contents, report["data"]["count"], link), encoding="utf-8")
    print(folder / "report.html", folder / "report.md", sep="\n")


if __name__ == "__main__":
    common.run(main, __doc__)
