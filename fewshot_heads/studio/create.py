"""The tab Create: morph, sound, people who do not exist, portraits re-imagined."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from fewshot_heads.errors import BadInput
from fewshot_heads.media.video_reader import Video
from fewshot_heads.studio import creations
from fewshot_heads.studio.page import Page
from fewshot_heads.studio.settings import task_config

MAX_PEOPLE = 24


def add(page: Page) -> None:
    """Adds the tab's components."""
    with gr.Tabs():
        for name, part in {
            "Morph": _add_morph,
            "Sound": _add_sound,
            "People": _add_people,
            "Re-imagined": _add_reimagined,
        }.items():
            with gr.Tab(name), gr.Row():
                part(page)


def _add_morph(page: Page) -> None:
    with gr.Column():
        people = page.portraits("morph", "Two people or more, a picture of each")
        driver = page.driver("morph", "Driving video, if you like")
        page.consent()
        seconds = gr.Slider(1, 10, 4, step=0.5, label="Seconds for each person, without a driver")
        loop = gr.Checkbox(False, label="Return to the first person")
        buttons = page.buttons("morph", "Morph")
    with gr.Column(elem_classes="beside"):
        status, video = page.status("morph"), page.video("morph")

    def prepare(pictures: Any, driver: str | None, seconds: float, loop: bool) -> Any:
        config = task_config("morph", {"seconds": seconds, "loop": loop})
        paths = page.files.pictures([path for path, _ in pictures or ()], least=2)
        return partial(creations.morph_people, page.files, paths, _optional(page, driver), config)

    page.job("morph", buttons, prepare, creations.MORPH_STAGES, [people, driver, seconds, loop], status, [video])


def _add_sound(page: Page) -> None:
    with gr.Column():
        portrait = page.portraits("sound", "Portrait")
        sound = gr.Audio(label="Music or speech", type="filepath", buttons=[], editable=False, elem_id="sound_sound")
        page.consent()
        page.example_button("Try Mona Lisa", [portrait], lambda e: [str(e.portrait)])
        mode = gr.Radio(["music", "speech"], value="music", label="The sound is")
        seed = gr.Number(0, label="Seed: the same seed, the same motion", precision=0, minimum=0)
        buttons = page.buttons("sound", "Animate")
    with gr.Column(elem_classes="beside"):
        status, video = page.status("sound"), page.video("sound")

    def prepare(pictures: Any, sound: str | None, mode: str, seed: int) -> Any:
        config = task_config("audio", {"mode": mode, "seed": seed})
        source, audio = page.picture_of(pictures), page.files.sound(sound)
        return partial(creations.animate_with_sound, page.files, source, audio, config)

    page.job("sound", buttons, prepare, creations.SOUND_STAGES, [portrait, sound, mode, seed], status, [video])


def _add_people(page: Page) -> None:
    with gr.Column():
        gr.Markdown("People who do not exist, drawn from a statistical model.")
        count = gr.Slider(1, MAX_PEOPLE, 6, step=1, label="People")
        seed = gr.Number(0, label="Seed: the same seed, the same people", precision=0, minimum=0)
        truncation = gr.Slider(0, 1, 0.8, step=0.05, label="Variety, 0 is the mean face")
        buttons = page.buttons("people", "Invent")
    with gr.Column(elem_classes="beside"):
        status, picture = page.status("people"), _picture("people")

    def prepare(count: float, seed: int, truncation: float) -> Any:
        if count > MAX_PEOPLE:
            raise BadInput(f"count={count:g}: expected {MAX_PEOPLE} people at most")
        config = task_config("sample", {"count": round(count), "seed": seed, "truncation": truncation})
        return partial(creations.invent_people, page.files, None, config)

    page.job("people", buttons, prepare, creations.PEOPLE_STAGES, [count, seed, truncation], status, [picture])


def _add_reimagined(page: Page) -> None:
    with gr.Column():
        portrait = page.portraits("reimagined", "Portrait")
        page.consent()
        page.example_button("Try Mona Lisa", [portrait], lambda e: [str(e.portrait)])
        strength = gr.Slider(0, 1, 0.5, step=0.05, label="Strength, 0 is the person, 1 only similar invented people")
        neighbours = gr.Slider(1, 8, 3, step=1, label="Similar people that count")
        buttons = page.buttons("reimagined", "Re-imagine")
    with gr.Column(elem_classes="beside"):
        status, picture = page.status("reimagined"), _picture("reimagined")

    def prepare(pictures: Any, strength: float, neighbours: float) -> Any:
        config = task_config("portrait", {"strength": strength, "neighbours": round(neighbours)})
        return partial(creations.reimagine, page.files, page.picture_of(pictures), None, config)

    inputs = [portrait, strength, neighbours]
    page.job("reimagined", buttons, prepare, creations.REIMAGINED_STAGES, inputs, status, [picture])


def _picture(name: str) -> gr.Image:
    """Adds a picture as result. The file itself is given out, with its mark."""
    return gr.Image(
        label="Result", interactive=False, type="filepath", height=420, buttons=["download", "fullscreen"],
        elem_id=f"{name}_result", elem_classes="result",
    )  # fmt: skip


def _optional(page: Page, driver: str | None) -> Video | None:
    """Returns an uploaded driver, or None without one."""
    return page.files.driver(driver) if driver else None
