"""Reads the table of `batch`: one animation a row."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.inputs import check_output, check_video_source
from fewshot_heads.errors import BadInput, FewshotHeadsError
from fewshot_heads.media.files import check_readable

COLUMNS = ("sources", "driver", "output")  # and "options", which may be left out
_VIDEO = "--video"  # among the options of a row, as in `animate`
SEPARATOR = ";"  # of sources
_MAX_LINE_LENGTH = 2**20  # characters


@dataclass(frozen=True)
class Job:
    """One animation.

    Attributes:
        line: line of the table, from 1.
        sources: pictures of one person, or one saved head.
        driver: a video, gif, folder or saved motion.
        output: the video to write.
        config: the keys of conf/animate.yaml.
        video: whether the source is a video, whose person takes the driver's expression.
    """

    line: int
    sources: tuple[Path, ...]
    driver: Path
    output: Path
    config: Mapping[str, Any]
    video: bool = False

    @property
    def name(self) -> str:
        """Name of the job among those of its table."""
        return f"line_{self.line}"


def read_jobs(table: Path, common: Sequence[str]) -> Iterator[tuple[int, Job | FewshotHeadsError]]:
    """Yields line number and job of each row, or what is wrong with the row.

    Paths are relative to the folder of the table.

    Args:
        table: tab-separated text with a header. Columns: sources (separated by `;`), driver, output, and perhaps
            options (`key=value` and `--video`, separated by blanks).
        common: options of every row, as `key=value`. The options of a row come after them.

    Raises:
        BadInput: the table cannot be read, or lacks a column.
    """
    check_readable(table)
    outputs: dict[Path, int] = {}
    inputs: dict[Path, int] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(_lines(file), delimiter="\t", quoting=csv.QUOTE_NONE)
            if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
                raise BadInput(
                    f"{table}: no column {missing[0]}; the first line names the columns, separated by tabs: "
                    f"{', '.join(COLUMNS)} and, if any, options"
                )
            for row in rows:
                try:
                    job = _job(row, rows.line_num, table.parent.absolute(), tuple(common))
                    _check_other_rows(job, outputs, inputs)
                    yield rows.line_num, job
                except FewshotHeadsError as error:
                    yield rows.line_num, error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{table}: no tab-separated text in UTF-8; save it as such") from error


def _lines(file: TextIO) -> Iterator[str]:
    """Yields the lines of a table. One without end, as of a disk image, would fill the memory."""
    while line := file.readline(_MAX_LINE_LENGTH):
        if len(line) == _MAX_LINE_LENGTH:
            raise csv.Error("a line without end")
        yield line


def _job(row: Mapping[str | None, Any], line: int, folder: Path, common: tuple[str, ...]) -> Job:
    """Returns the job of a row. Raises FewshotHeadsError if a cell does not fit."""
    if None in row:
        raise BadInput(f"{len(row[None])} cells too many; separate the cells with single tabs")
    cells = {column: (row.get(column) or "").strip() for column in (*COLUMNS, "options")}
    if empty := [column for column in COLUMNS if not cells[column]]:
        raise BadInput(f"no {empty[0]}; fill the cell")
    if "\0" in "".join(cells.values()):
        raise BadInput("a cell has a null byte; write the table as text")
    names = cells["sources"].split(SEPARATOR)
    sources = tuple(folder / name.strip() for name in names if name.strip())
    driver, output = folder / cells["driver"], folder / cells["output"]
    try:
        options = tuple(shlex.split(cells["options"]))
    except ValueError as error:
        raise BadInput(f"options {cells['options']}: {error}; close the quotation mark") from error
    from fewshot_heads.media.video_writer import WRITTEN

    config = _config((*common, *(option for option in options if option != _VIDEO)))
    if video := _VIDEO in options:
        check_video_source(sources, config)
    check_output(output, WRITTEN, True, (*sources, driver))  # one that exists is not an error, but finished
    for path in () if output.exists() else sources if driver.is_dir() else (*sources, driver):
        check_readable(path)  # told without starting a worker
    return Job(line, sources, driver, output, config, video)


def _check_other_rows(job: Job, outputs: dict[Path, int], inputs: dict[Path, int]) -> None:
    """Checks the files of a job against those of the rows before, and adds them.

    Args:
        job: the job.
        outputs: resolved path of each output -> its line.
        inputs: resolved path of each source and driver -> the first line that reads it.

    Raises:
        BadInput: a file that one row writes is a file of the other row.
    """
    target, read = job.output.resolve(), [path.resolve() for path in (*job.sources, job.driver)]
    if first := outputs.get(target):
        raise BadInput(f"{job.output}: is the output of line {first} too; choose another output")
    if first := inputs.get(target):
        raise BadInput(f"{job.output}: is an input of line {first}; choose another output")
    for path in read:
        if first := outputs.get(path):
            raise BadInput(f"{path}: is the output of line {first}; animate it in a table of its own")
    outputs[target] = job.line
    for path in read:
        inputs.setdefault(path, job.line)


@lru_cache(maxsize=64)
def _config(overrides: tuple[str, ...]) -> Mapping[str, Any]:
    """Returns the configuration of a row. Most rows have the same options, and hydra takes 20 ms."""
    return load_config("animate", overrides)
