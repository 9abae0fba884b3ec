"""The tab Animate: a portrait follows a driving video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from fewshot_heads.cli.animation import animation_frames, source_head, video_frames
from fewshot_heads.cli.inputs import check_video_source, read_video_source
from fewshot_heads.driving.motion import Motion
from fewshot_heads.errors import BadInput
from fewshot_heads.media.video_reader import Video
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.studio.jobs import Job
from fewshot_heads.studio.page import Page
from fewshot_heads.studio.settings import task_config
from fewshot_heads.studio.steps import PORTRAIT, STAGES, track, write_video
from fewshot_heads.studio.uploads import Files

DIALS = {
    "pose": "Head motion",
    "expression": "Expression",
    "lips": "Lips and jaw",
    "lids": "Eyelids",
    "brows": "Brows",
    "gaze": "Gaze",
}


def animate(
    files: Files, sources: Sequence[Path], driver: Video | Motion, driver_path: Path, config: Mapping[str, Any],
    reenactor: Reenactor, job: Job,
) -> Path:  # fmt: skip
    """Returns a video of a portrait that moves like a driver.

    Args:
        files: where the video goes.
        sources: pictures of one person, or one saved head.
        driver: the driving video, or a saved motion.
        driver_path: its file.
        config: the keys of conf/animate.yaml.
        reenactor: makes the frames.
        job: has the stages `STAGES`.
    """
    job.step(PORTRAIT)
    head = source_head(reenactor, sources, config)
    motion = track(reenactor, job, files, driver, config)
    frames = animation_frames(reenactor, head, motion, driver, config)
    output = files.new(f"{sources[0].stem}_{driver_path.stem}.mp4")
    mark = reenactor.provenance(config["paste_back"]).made_from((*sources, driver_path))
    like = driver.rate if isinstance(driver, Motion) else driver
    return write_video(job, frames, len(motion), output, like, mark, config["crf"])


def animate_video(
    files: Files, source: Path, driver: Video | Motion, driver_path: Path, config: Mapping[str, Any],
    reenactor: Reenactor, job: Job,
) -> Path:  # fmt: skip
    """Returns a video whose person takes the expression of a driver; all but the source is as in `animate`.

    Args:
        source: a video of one person.
    """
    video = read_video_source(source, driver.rate)
    shown = job.watch(PORTRAIT, files.frames(video), video.frame_count_estimate)
    tracked = reenactor.track(shown, config["source_face"], config["smoothing"], video.rate, source.name)
    motion = track(reenactor, job, files, driver, config)
    frames = video_frames(reenactor, video, tracked, motion, driver, config)
    output = files.new(f"{source.stem}_{driver_path.stem}.mp4")
    mark = reenactor.provenance().made_from((source, driver_path))
    like = driver.rate if isinstance(driver, Motion) else driver
    return write_video(job, frames, min(len(tracked), len(motion)), output, like, mark, config["crf"])


def add(page: Page) -> None:
    """Adds the tab's components."""
    with gr.Row():
        with gr.Column():
            portraits = page.portraits("animate", "Portrait, or several")
            driver = page.driver("animate", "Driving video")
            page.consent()
            page.example_button(
                "Try Mona Lisa and a laughing woman", [portraits, driver], lambda e: ([str(e.portrait)], str(e.driver))
            )
            with gr.Accordion("Saved heads and motions, a video to edit", open=False):
                clip = page.driver("animate_source", "Instead of the portrait: a video to edit")
                head = gr.File(label="Instead of the portrait: a saved head", file_types=[".safetensors"], height=160)
                saved = gr.File(
                    label="Instead of the driver: a saved motion", file_types=[".safetensors"], height=160,
                    elem_id="animate_motion",
                )  # fmt: skip
            with gr.Accordion("Dials", open=False):
                with gr.Row():
                    dials = [gr.Slider(0, 2, 1, step=0.05, label=label, min_width=200) for label in DIALS.values()]
                motion = gr.Radio(
                    [("relative: keep the face shape", "relative"), ("absolute: copy the landmarks", "absolute")],
                    value="relative", label="Motion",
                )  # fmt: skip
                mouth = gr.Radio(
                    [("from the driver", "driver"), ("inpainted", "inpainted")], value="driver",
                    label="Inside of a mouth that is closed in the portrait",
                )  # fmt: skip
                whole = gr.Checkbox(True, label="Whole picture, not only the crop of the head")
            beside = gr.Checkbox(False, label="Side by side with portrait and driver")
            buttons = page.buttons("animate", "Animate")
        with gr.Column(elem_classes="beside"):
            status = page.status("animate")
            video = page.video("animate")

    def prepare(
        pictures: Any, head: str | None, clip: str | None, video: str | None, saved: str | None, motion: str,
        mouth: str, whole: bool, beside: bool, *gains: float,
    ) -> Any:  # fmt: skip
        values = {"motion": motion, "mouth": mouth, "paste_back": whole, "side_by_side": beside}
        config = task_config("animate", {**values, **dict(zip(DIALS, gains, strict=True))})
        if clip:
            sources = [page.files.driver(clip).path]
            check_video_source(sources, config)
        else:
            sources = [Path(head)] if head else page.files.pictures([path for path, _ in pictures or ()])
        if saved and beside:
            raise BadInput("a saved motion has no pictures to show side by side; choose the video itself")
        driver = page.files.motion(saved) if saved else page.files.driver(video)
        moved_by = (driver, Path(saved or video or ""), config)
        if clip:
            return partial(animate_video, page.files, sources[0], *moved_by)
        return partial(animate, page.files, sources, *moved_by)

    inputs = [portraits, head, clip, driver, saved, motion, mouth, whole, beside, *dials]
    page.job("animate", buttons, prepare, STAGES, inputs, status, [video])
