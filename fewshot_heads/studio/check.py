"""The tab Check: tells whether a file is marked as synthetic."""

from __future__ import annotations

import html
from pathlib import Path

import gradio as gr

from fewshot_heads.errors import BadInput
from fewshot_heads.media.verification import verify
from fewshot_heads.studio.page import Page, error_html


def marks_of(path: Path) -> tuple[str, dict[str, str]]:
    """Returns a verdict in plain words, and what each of the three marks tells."""
    found = verify(path)
    facts = dict(line.split(": ", 1) for line in found.lines())
    if not found and found.watermark is None:
        return "This is no picture or video that can be read, and its metadata have no mark.", facts
    if not found:
        return "No mark of synthetic media was found. The file may still be synthetic: marks can be removed.", facts
    return "This file is marked as synthetic media.", facts


def check(path: str | None) -> str:
    """Returns what is known about an uploaded file, as HTML for the page."""
    try:
        if path is None:
            raise BadInput("choose a file first")
        verdict, facts = marks_of(Path(path))
    except Exception as error:
        return error_html(error)
    cells = [(html.escape(name), html.escape(value)) for name, value in facts.items()]
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in cells)
    name = html.escape(Path(path).name)
    return f'<div role="status"><p><strong>{name}</strong>: {html.escape(verdict)}</p><table>{rows}</table></div>'


def add(page: Page) -> None:
    """Adds the tab's components."""
    with gr.Row():
        with gr.Column():
            file = gr.File(label="A picture or a video", height=220, elem_id="check_file")
            start = gr.Button("Check", variant="primary", elem_id="check_start")
        with gr.Column():
            result = gr.HTML(
                '<p class="hint">The marks of the file appear here.</p>', elem_id="check_result", elem_classes="status"
            )
    gr.on([start.click, file.upload], check, file, result, api_name="check", concurrency_limit=page.workers.count)
