"""Makes a self-contained HTML page from the Markdown, images and videos of the benchmarks."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple


class Chapter(NamedTuple):
    """One part of a report.

    Attributes:
        title: heading.
        facts: name -> Markdown.
        markdown: text and tables.
        figures: HTML, on the page only.
    """

    title: str
    facts: dict[str, str]
    markdown: str = ""
    figures: str = ""


def markdown(chapters: Sequence[Chapter]) -> str:
    """Returns the whole report as Markdown; the first chapter is its head."""
    blocks = []
    for i, chapter in enumerate(chapters):
        facts = "\n".join(f"- {name}: {text}" for name, text in chapter.facts.items())
        blocks += ["#" * (1 + (i > 0)) + f" {chapter.title}", facts, chapter.markdown]
    return "\n\n".join(filter(None, blocks)) + "\n"


def html(chapters: Sequence[Chapter], clips: int, readme: str) -> str:
    """Returns the whole report as a page.

    Args:
        chapters: the first one is the head of the report.
        clips: number of clips that were measured.
        readme: link to the README of the benchmarks.
    """
    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    head, *others = chapters
    contents = [f'<a href="#{i}">{escape(chapter.title)}</a>' for i, chapter in enumerate(others, 1)]
    sections = [
        f'<section><h2 id="{i}">{escape(chapter.title)}</h2>\n{_terms(chapter.facts)}\n{to_html(chapter.markdown)}\n'
        f"{chapter.figures}</section>"
        for i, chapter in enumerate(others, 1)
    ]
    return template.substitute(
        title=escape(head.title),
        facts=_terms(head.facts),
        contents="\n".join(contents),
        sections="\n".join(sections),
        clips=clips,
        readme=escape(readme),
    )


def to_html(markdown: str) -> str:
    """Converts the Markdown that the benchmarks write.

    Paragraphs, lists of one level, pipe tables, **bold** and `code` are supported.
    """
    return "\n".join(_block(block) for block in re.split(r"\n\n+", markdown.strip()) if block)


def sheet(folder: Path, name: str, rows: Sequence[str], what: str) -> str:
    """Returns the HTML of a contact sheet.

    Args:
        folder: of the run.
        name: path of the image below the folder.
        rows: label of each row.
        what: name of the case, for the alternative text.
    """
    alt = escape(f"{what}: the source, then a few frames, in rows from top to bottom: {', '.join(rows)}")
    return _embedded(folder, name, "sheet", rows, f'<img alt="{alt}" src="{{}}">')


def video(folder: Path, name: str, columns: Sequence[str], what: str) -> str:
    """Returns the HTML of a video with images side by side.

    Args:
        folder: of the run.
        name: path of the video below the folder.
        columns: label of each image.
        what: name of the case, for the label.
    """
    label = escape(f"{what}: video, from left to right: {', '.join(columns)}")
    element = f'<video controls muted loop playsinline aria-label="{label}" src="{{}}"></video>'
    return _embedded(folder, name, "video", columns, element)


def _embedded(folder: Path, name: str, kind: str, labels: Sequence[str], element: str) -> str:
    """Returns the element with the file as a data: URI, and its labels.

    Without the file, a line says that it is missing.
    """
    if not (folder / name).is_file():
        return f'<p class="missing">The {kind} {escape(name)} is missing.</p>'
    content = base64.b64encode((folder / name).read_bytes()).decode("ascii")
    start, _, end = element.rpartition("{}")
    uri = f"data:{mimetypes.guess_type(name)[0]};base64,{content}"
    names = "".join(f"<span>{escape(label)}</span>" for label in labels)
    names = f'<div class="names" aria-hidden="true">{names}</div>'
    return f'<div class="{kind}" style="--count:{len(labels)}">{names}{start}{uri}{end}</div>'


def _terms(facts: dict[str, str]) -> str:
    terms = [f"<dt>{escape(name)}</dt><dd>{_inline(text)}</dd>" for name, text in facts.items()]
    return f"<dl>{''.join(terms)}</dl>" if terms else ""


def _block(text: str) -> str:
    lines = text.splitlines()
    if text.startswith("|") and len(lines) > 1:
        return _table([[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines])
    if text.startswith("- "):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    html = re.sub(r" (?=[↑↓])", "\u00a0", escape(text))  # no arrow alone on a line
    html = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", html)


def _table(cells: list[list[str]]) -> str:
    """Returns a table of header, alignment and rows; [low, high] goes below its number."""
    header, alignment, *rows = cells
    sides = [' class="right"' if side.endswith(":") else "" for side in alignment]
    first, *others = header
    corner = f'<th scope="col">{_inline(first)}</th>' if first else "<td></td>"
    names = [_inline(name).replace("+", "+<wbr>") for name in others]
    columns = [f'<th scope="col"{side}>{name}</th>' for name, side in zip(names, sides[1:], strict=False)]
    lines = []
    for name, *values in rows:
        formatted = [re.sub(r" (\[.*\])", r" <small>\1</small>", _inline(value)) for value in values]
        data = [f"<td{side}>{text}</td>" for text, side in zip(formatted, sides[1:], strict=False)]
        lines.append(f'<tr><th scope="row">{_inline(name)}</th>{"".join(data)}</tr>')
    table = f"<table><thead><tr>{corner}{''.join(columns)}</tr></thead>\n<tbody>{chr(10).join(lines)}</tbody></table>"
    return f'<div class="wide" role="region" aria-label="table" tabindex="0">{table}</div>'
