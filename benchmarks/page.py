"""One self-contained HTML page: the benchmarks' Markdown, pictures and videos within it, and the frame around them."""

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
    """One part of a report."""

    title: str
    facts: dict[str, str]  # what it is about, in Markdown
    markdown: str = ""
    figures: str = ""  # HTML, on the page only


def markdown(chapters: Sequence[Chapter]) -> str:
    """The whole report as Markdown; the first chapter is its head."""
    parts = []
    for i, chapter in enumerate(chapters):
        facts = "\n".join(f"- {name}: {text}" for name, text in chapter.facts.items())
        parts += ["#" * (1 + (i > 0)) + f" {chapter.title}", facts, chapter.markdown]
    return "\n\n".join(filter(None, parts)) + "\n"


def html(chapters: Sequence[Chapter], clips: int, readme: str) -> str:
    """The whole report as a page; the first chapter is its head."""
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
    """The Markdown that the benchmarks write: paragraphs, lists of one level, pipe tables, **bold** and `code`."""
    return "\n".join(_block(block) for block in re.split(r"\n\n+", markdown.strip()) if block)


def sheet(folder: Path, name: str, rows: Sequence[str], what: str) -> str:
    """A contact sheet; rows: what each shows, the source first in every one."""
    alt = escape(f"{what}: the source, then a few frames, in rows from top to bottom: {', '.join(rows)}")
    return _embedded(folder, name, "sheet", rows, f'<img alt="{alt}" src="{{}}">')


def video(folder: Path, name: str, columns: Sequence[str], what: str) -> str:
    """A video of pictures side by side; columns: what each shows."""
    label = escape(f"{what}: video, from left to right: {', '.join(columns)}")
    element = f'<video controls muted loop playsinline aria-label="{label}" src="{{}}"></video>'
    return _embedded(folder, name, "video", columns, element)


def _embedded(folder: Path, name: str, kind: str, labels: Sequence[str], element: str) -> str:
    """The element with the file as its data: URI, beside its labels; where it is missing, a line that says so."""
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
    found = re.sub(r" (?=[↑↓])", "\u00a0", escape(text))  # no arrow alone on a line
    found = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", found)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", found)


def _table(cells: list[list[str]]) -> str:
    """Header, alignment, rows; a [low, high] behind a number goes below it."""
    header, alignment, *rows = cells
    sides = [' class="right"' if side.endswith(":") else "" for side in alignment]
    first, *others = header
    corner = f'<th scope="col">{_inline(first)}</th>' if first else "<td></td>"
    names = [_inline(name).replace("+", "+<wbr>") for name in others]
    columns = [f'<th scope="col"{side}>{name}</th>' for name, side in zip(names, sides[1:], strict=False)]
    lines = []
    for name, *values in rows:
        shown = [re.sub(r" (\[.*\])", r" <small>\1</small>", _inline(value)) for value in values]
        data = [f"<td{side}>{text}</td>" for text, side in zip(shown, sides[1:], strict=False)]
        lines.append(f'<tr><th scope="row">{_inline(name)}</th>{"".join(data)}</tr>')
    table = f"<table><thead><tr>{corner}{''.join(columns)}</tr></thead>\n<tbody>{chr(10).join(lines)}</tbody></table>"
    return f'<div class="wide" role="region" aria-label="table" tabindex="0">{table}</div>'
