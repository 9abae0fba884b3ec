"""What the tabs share: upload fields, buttons that start and cancel, the progress line and the results."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from fewshot_heads.errors import FewshotHeadsError
from fewshot_heads.reenactor import Reenactor
from fewshot_heads.studio.examples import Examples
from fewshot_heads.studio.jobs import Cancelled, Job, Progress, Workers
from fewshot_heads.studio.uploads import Files, public_line

logger = logging.getLogger(__name__)

Work = Callable[[Reenactor, Job], Any]  # returns the value of the result, or a tuple for several


@dataclass(frozen=True)
class Page:
    """What a tab needs to make its part of the page.

    Attributes:
        workers: do the jobs.
        previews: do what must not wait for a job: a preview takes a tenth of a second.
        files: uploads and results.
        examples: files to try, if there are any.
    """

    workers: Workers
    previews: Workers
    files: Files
    examples: Examples | None

    def consent(self) -> None:
        """Adds the line beside an upload."""
        gr.Markdown(
            "Use pictures and sounds of people who agreed. Every result is marked as synthetic. "
            f"Files are deleted after {self.files.keep_minutes:g} minutes.",
            elem_classes="consent",
        )

    def portraits(self, name: str, label: str) -> gr.Gallery:
        """Adds a field for one picture or several."""
        return gr.Gallery(
            label=label, file_types=["image"], sources=["upload", "webcam"], columns=3, height=240, interactive=True,
            object_fit="contain", fit_columns=False, buttons=[], elem_id=f"{name}_portraits", elem_classes="portraits",
        )  # fmt: skip

    def picture_of(self, gallery: Any) -> Path:
        """Returns the first picture of a field of `portraits`, given its value. Raises BadInput without one."""
        return self.files.pictures([path for path, _ in gallery or ()])[0]

    def driver(self, name: str, label: str) -> gr.Video:
        """Adds a field for a driving video."""
        return gr.Video(label=label, sources=["upload", "webcam"], buttons=[], elem_id=f"{name}_driver")

    def example_button(self, label: str, outputs: Sequence[Component], values: Callable[[Examples], Any]) -> Any:
        """Adds a button that fills in examples, and returns its event. Without examples it adds nothing."""
        if not self.examples:
            return None
        found = self.examples
        button = gr.Button(label, size="sm", elem_classes="example")
        return button.click(lambda: values(found), None, list(outputs), queue=False, api_visibility="private")

    def buttons(self, name: str, label: str) -> tuple[gr.Button, gr.Button]:
        """Adds the buttons that start and cancel a job."""
        with gr.Row():
            start = gr.Button(label, variant="primary", elem_id=f"{name}_start", min_width=120, scale=3)
            return start, gr.Button("Cancel", elem_id=f"{name}_cancel", min_width=80, scale=1)

    def status(self, name: str) -> gr.HTML:
        """Adds the line that shows progress and errors."""
        return gr.HTML(hint("Results appear here."), elem_id=f"{name}_status", elem_classes="status", min_height=48)

    def video(self, name: str) -> gr.Video:
        """Adds a video as result, which plays and can be downloaded."""
        return gr.Video(
            label="Result", interactive=False, autoplay=True, loop=True, height=420, buttons=["download"],
            elem_id=f"{name}_result", elem_classes="result",
        )  # fmt: skip

    def job(
        self, name: str, buttons: tuple[gr.Button, gr.Button], prepare: Callable[..., Work],
        stages: Mapping[str, float], inputs: Sequence[Component], status: gr.HTML, results: Sequence[Component],
    ) -> None:  # fmt: skip
        """Connects the buttons with a job.

        Args:
            name: of the job, in the API.
            buttons: start and cancel.
            prepare: checks the values of the inputs and returns the work.
            stages: see `Job`.
            inputs: components with the values.
            status: shows progress and errors.
            results: components that show the results.
        """

        def run(*values: Any) -> Iterator[tuple[Any, ...]]:
            yield from updates(self.workers, lambda: prepare(*values), stages, len(results))

        start, cancel = buttons
        event = start.click(
            run, list(inputs), [status, *results], api_name=name, show_progress="hidden",
            concurrency_limit=None,  # `Workers` has the queue
        )  # fmt: skip
        cancel.click(
            lambda: hint("Cancelled."), None, status, cancels=[event], queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip


def updates(
    workers: Workers, prepare: Callable[[], Work], stages: Mapping[str, float], results: int
) -> Iterator[tuple[Any, ...]]:
    """Yields what the page shows while a job runs: the status and the values of the results.

    An error becomes a sentence in the status.

    Args:
        workers: do the job.
        prepare: returns the work.
        stages: see `Job`.
        results: number of results.
    """
    unchanged = [gr.skip()] * results
    try:
        with closing(workers.run(prepare(), stages)) as progress:
            while True:
                yield (_bar(next(progress)), *unchanged)
    except StopIteration as end:
        values = end.value if isinstance(end.value, tuple) else (end.value,)
        yield (hint("Done."), *(str(value) for value in values))
    except Cancelled:
        yield (hint("Cancelled."), *unchanged)
    except Exception as error:
        yield (error_html(error), *unchanged)


def error_html(error: Exception) -> str:
    """Returns the sentence about an error, as HTML. An unforeseen one goes to the log of the server, with traceback."""
    if not isinstance(error, FewshotHeadsError):
        logger.error("a request of the page failed", exc_info=error)
    return f'<p class="error" role="alert">{html.escape(public_line(error))}</p>'


def hint(text: str) -> str:
    """Returns a sentence that is no error, as HTML."""
    return f'<p class="hint" role="status">{html.escape(text)}</p>'


def _bar(progress: Progress) -> str:
    left = "" if progress.seconds_left is None else f" · about {_duration(progress.seconds_left)} left"
    text = html.escape(f"{progress.stage}{left}")
    return f'<div role="status"><progress max="1" value="{progress.share:.3f}"></progress><p>{text}</p></div>'


def _duration(seconds: float) -> str:
    """Returns a duration as people say it: "8 s", "2 min"."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
