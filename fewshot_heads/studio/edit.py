"""The tab Edit: sliders move a face, which is saved as a picture or as a pose for other portraits."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from fewshot_heads.cli.animation import source_head
from fewshot_heads.driving.controls import CONTROLS
from fewshot_heads.media.files import SAVED
from fewshot_heads.media.images import write_image
from fewshot_heads.media.watermark import embed
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.rendering.editing import Editor
from fewshot_heads.studio.jobs import Job, result_of
from fewshot_heads.studio.page import Page, Work, error_html, hint
from fewshot_heads.studio.settings import task_config
from fewshot_heads.studio.steps import PORTRAIT
from fewshot_heads.studio.uploads import Files

EDITING = "Editing"
STAGES = {PORTRAIT: 0.8, EDITING: 0.2}
PREVIEW_PX = 384  # side of the head's crop in the preview: an edit of a large picture takes seconds
_PREVIEW_QUALITY = 90  # of the JPEG, 0 to 100


class Preview(NamedTuple):
    """What one visitor sees while sliders move.

    Attributes:
        source: the picture.
        editor: edits a close-up of the head, and has computed what all edits share.
    """

    source: Path
    editor: Editor


def open_preview(source: Path, reenactor: Reenactor, job: Job) -> Preview:
    """Returns the preview of a picture that was just chosen."""
    job.step(PORTRAIT)
    head = source_head(reenactor, [source], task_config("edit"))
    editor = reenactor.editor(head.close_up(PREVIEW_PX))
    editor.edit({"yaw": 1.0})  # the first edit computes what all share, so that no slider waits for it
    return Preview(source, editor)


def show(preview: Preview, values: Mapping[str, float], reenactor: Reenactor, job: Job) -> str:
    """Returns an edit of the close-up as HTML, which holds its pixels. They are marked as synthetic.

    Args:
        preview: of the picture.
        values: control -> value, see `driving.controls.CONTROLS`.
        reenactor: gives the mark.
        job: has the stages `STAGES`.
    """
    job.step(EDITING)
    mark, data = reenactor.provenance(), io.BytesIO()
    picture = embed(preview.editor.edit(values), mark.sha256)
    Image.fromarray(picture).save(data, "JPEG", quality=_PREVIEW_QUALITY, xmp=mark.xmp())
    return f'<img alt="The edited face" src="data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}">'


def save(
    files: Files, source: Path, values: Mapping[str, float], suffix: str, reenactor: Reenactor, job: Job
) -> Path:  # fmt: skip
    """Returns an edit as a picture of the size of its source, or as a pose: a driver for any portrait.

    Args:
        files: where the file goes.
        source: the picture.
        values: control -> value, see `driving.controls.CONTROLS`.
        suffix: of the file, that of a picture or of a saved motion.
        reenactor: makes the head.
        job: has the stages `STAGES`.
    """
    job.step(PORTRAIT)
    editor = reenactor.editor(source_head(reenactor, [source], task_config("edit")))
    job.step(EDITING)
    output = files.new(f"{source.stem}_edited{suffix}")
    if suffix == SAVED:
        editor.motion(values).save(output)
    else:
        write_image(output, editor.edit(values), reenactor.provenance().made_from([source]))
    return output


def add(page: Page) -> None:
    """Adds the tab's components."""
    state = gr.State(None, time_to_live=60 * page.files.keep_minutes)
    with gr.Row():
        with gr.Column(elem_classes="beside"):
            portraits = page.portraits("edit", "Portrait")
            page.consent()
            example = page.example_button("Try Mona Lisa", [portraits], lambda e: [str(e.portrait)])
            preview = gr.HTML(hint("The face appears here."), elem_id="edit_preview", elem_classes="status")
        with gr.Column():
            with gr.Row():
                sliders = [_slider(name) for name in CONTROLS]
            neutral = gr.Button("Neutral", elem_id="edit_neutral")
            with gr.Row():
                picture = gr.Button("Save picture", variant="primary", elem_id="edit_picture", min_width=120)
                pose = gr.Button("Save as pose", elem_id="edit_pose", min_width=120)
                cancel = gr.Button("Cancel", elem_id="edit_cancel", min_width=80)
            status = page.status("edit")
            result = gr.File(
                label="A picture, or a pose: a driver for Animate", interactive=False, height=140, elem_id="edit_result"
            )

    def update(pictures: Any, before: Preview | None, *values: float) -> tuple[str, Preview | None]:
        try:
            source, now = page.picture_of(pictures), before
            if now is None or now.source != source:
                now = result_of(page.previews.run(partial(open_preview, source), STAGES))
            work = partial(show, now, dict(zip(CONTROLS, values, strict=True)))
            return result_of(page.previews.run(work, STAGES)), now
        except Exception as error:
            return error_html(error), before

    def prepare(suffix: str, pictures: Any, *values: float) -> Work:
        return partial(save, page.files, page.picture_of(pictures), dict(zip(CONTROLS, values, strict=True)), suffix)

    inputs: list[Any] = [portraits, state, *sliders]
    # Gradio's queue would add more time than the edit itself takes.
    options: dict[str, Any] = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}
    options["api_visibility"] = "private"
    changes = [portraits.change, *(slider.change for slider in sliders)]
    gr.on(changes, update, inputs, [preview, state], **options)
    if example:  # which is no change of the gallery
        example.then(update, inputs, [preview, state], **options)
    neutral.click(lambda: [0] * len(sliders), None, sliders, queue=False, api_visibility="private")
    for button, name, suffix in ((picture, "edit", ".png"), (pose, "pose", SAVED)):
        page.job(name, (button, cancel), partial(prepare, suffix), STAGES, [portraits, *sliders], status, [result])


def _slider(name: str) -> gr.Slider:
    control = CONTROLS[name]
    return gr.Slider(
        control.low, control.high, 0, step=1 if control.unit else 0.05, label=name.replace("_", " ").capitalize(),
        info=control.help, min_width=200, buttons=["reset"], elem_id=f"edit_{name}",
    )  # fmt: skip
