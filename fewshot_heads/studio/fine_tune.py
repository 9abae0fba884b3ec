"""The tab Fine-tune: a head of one person's pictures or video, to be used in Animate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from fewshot_heads.driving.frame_selection import frames_of_different_pose
from fewshot_heads.head import Head
from fewshot_heads.media.images import write_image
from fewshot_heads.media.video_reader import Video
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.studio.jobs import Job
from fewshot_heads.studio.page import Page
from fewshot_heads.studio.settings import task_config
from fewshot_heads.studio.steps import PORTRAIT
from fewshot_heads.studio.uploads import Files
from fewshot_heads.training.comparison import before_and_after
from fewshot_heads.training.fine_tuning import from_config

TUNING, COMPARISON = "Fine-tuning", "Comparing"
STAGES = {PORTRAIT: 0.1, TUNING: 0.85, COMPARISON: 0.05}


def fine_tune(
    files: Files, source: Sequence[Path] | Video, config: Mapping[str, Any], reenactor: Reenactor, job: Job
) -> tuple[Path, Path]:
    """Returns a fine-tuned head and a picture of what changed.

    Args:
        files: where the results go.
        source: pictures of one person, or a video.
        config: the keys of conf/fine_tune.yaml.
        reenactor: makes the head.
        job: has the stages `STAGES`.
    """
    job.step(PORTRAIT)
    head = _head(files, source, config, reenactor, job)
    tuning, criterion = from_config(config)
    job.step(TUNING)
    tuned = reenactor.fine_tune(
        head, tuning=tuning, criterion=criterion, on_step=lambda done, steps: job.step(TUNING, done, steps)
    )
    job.step(COMPARISON)
    name = source.path.stem if isinstance(source, Video) else source[0].stem
    output = files.new(f"{name}_head.safetensors")
    tuned.save(output)
    picture = output.with_name(f"{name}_before_after.jpg")
    mark = reenactor.provenance(composite=False).made_from([source.path] if isinstance(source, Video) else source)
    write_image(picture, before_and_after(reenactor, head, tuned), mark)
    return output, picture


def _head(
    files: Files, source: Sequence[Path] | Video, config: Mapping[str, Any], reenactor: Reenactor, job: Job
) -> Head:
    """Returns the head to tune, of pictures or of a video's frames of different poses."""
    if not isinstance(source, Video):
        return reenactor.embed(source, config["source_face"])
    frames = job.watch(PORTRAIT, files.frames(source), source.frame_count_estimate)
    motion = reenactor.track(frames, config["source_face"], 0, source.rate, source.path.name)
    return reenactor.embed(*frames_of_different_pose(source, motion, config["frames"], reenactor.detectors[0]))


def add(page: Page) -> None:
    """Adds the tab's components."""
    with gr.Row():
        with gr.Column():
            portraits = page.portraits("fine_tune", "Pictures of one person")
            driver = page.driver("fine_tune", "Or a video of the person")
            page.consent()
            page.example_button("Try Mona Lisa", [portraits, driver], lambda e: ([str(e.portrait)], None))
            steps = gr.Slider(0, 400, 0, step=5, label="Steps, 0 chooses by the number of pictures")
            buttons = page.buttons("fine_tune", "Fine-tune")
        with gr.Column(elem_classes="beside"):
            status = page.status("fine_tune")
            head = gr.File(label="Saved head, for Animate", interactive=False, elem_id="fine_tune_result")
            picture = gr.Image(label="Before and after", interactive=False, type="filepath", buttons=["fullscreen"])

    def prepare(pictures: Any, video: str | None, steps: float) -> Any:
        config = task_config("fine_tune", {"steps": round(steps)})
        source = page.files.driver(video) if video else page.files.pictures([path for path, _ in pictures or ()])
        return partial(fine_tune, page.files, source, config)

    page.job("fine_tune", buttons, prepare, STAGES, [portraits, driver, steps], status, [head, picture])
