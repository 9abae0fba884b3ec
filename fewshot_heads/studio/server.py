"""Builds the page and serves it until the process ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
from gradio import processing_utils

from fewshot_heads.cli.session import open_reenactor
from fewshot_heads.errors import BadInput, printable
from fewshot_heads.studio import animate, check, create, edit, fine_tune
from fewshot_heads.studio.examples import Examples, find_examples
from fewshot_heads.studio.jobs import Workers
from fewshot_heads.studio.page import Page
from fewshot_heads.studio.uploads import Files

_SWEEP_SECONDS = 60
_SESSIONS = 20  # visitors whose edited head is kept, the latest; 19 MiB each, and it is made again for others
_CHECKS = 50  # requests of the tab Check that may wait
_SYSTEM_FONT = ("system-ui", "sans-serif")  # a font of the web would be fetched
_TABS = {"Animate": animate, "Edit": edit, "Create": create, "Fine-tune": fine_tune, "Check": check}


def serve(config: Mapping[str, Any], folder: Path) -> NoReturn:
    """Serves the page until a signal ends the process.

    Args:
        config: the keys of conf/studio.yaml.
        folder: for uploads and results, see `environment.own_folder`.

    Raises:
        BadInput: the port is taken, or the address is none of this machine.
        FewshotHeadsError: the model or the device is wrong.
    """
    files = Files.from_config(folder, config)
    workers = Workers(lambda: open_reenactor(config), config["jobs"], config["queue"])
    # One thread: a second one saves a fifth of an edit's time on free cores, and costs several times that beside a job.
    previews = Workers(lambda: open_reenactor(config), 1, config["queue"], threads=1)
    try:
        workers.open_one()
        page = Page(workers, previews, files, find_examples())
        url = launch(build(page), config, page.examples)
        print(f"The studio is at {url} (Ctrl-C ends it)", flush=True)
        while True:
            time.sleep(_SWEEP_SECONDS)
            files.sweep()
    finally:
        workers.close()
        previews.close()


def build(page: Page) -> gr.Blocks:
    """Returns the page, not yet served."""
    with gr.Blocks(title="fewshot_heads studio", analytics_enabled=False) as blocks:
        gr.Markdown("# fewshot_heads studio", elem_classes="title")
        with gr.Tabs():
            for name, tab in _TABS.items():
                with gr.Tab(name, id=name):
                    tab.add(page)
    return blocks


def launch(blocks: gr.Blocks, config: Mapping[str, Any], examples: Examples | None = None) -> str:
    """Serves a page in threads, and returns its address.

    Args:
        blocks: the page.
        config: the keys of conf/studio.yaml.
        examples: files of the server that the page may give out.

    Raises:
        BadInput: the port is taken, or the address is none of this machine.
    """
    allowed = [str(examples.portrait), str(examples.driver)] if examples else []
    processing_utils.async_ssrf_protected_download = _refuse_url
    theme = gr.themes.Default(primary_hue="indigo", font=_SYSTEM_FONT, font_mono=("ui-monospace", "monospace"))
    blocks.queue(max_size=config["queue"] + 2 * _CHECKS)  # of jobs, `Workers` lets fewer wait
    try:
        _, local, public = blocks.launch(
            server_name=config["host"], server_port=config["port"], share=config["share"], quiet=True,
            prevent_thread_lock=True, max_file_size=f"{config['upload_mib']}mb", footer_links=[], run_history=False,
            enable_monitoring=False, ssr_mode=False, pwa=False, mcp_server=False, theme=theme, inbrowser=False,
            css=resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8"),
            allowed_paths=allowed, state_session_capacity=_SESSIONS,
            app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        )  # fmt: skip
    except OSError as error:
        where = f"host={config['host']} port={config['port']}"
        raise BadInput(f"{where}: cannot be opened ({printable(str(error))}); choose another port=") from error
    return public or local


async def _refuse_url(url: str, cache_dir: str) -> str:
    """Takes the place of Gradio's download of addresses that come by its API, which has no limit of size."""
    raise gr.Error("Files come by upload only.")
