"""Runs the jobs of `batch` in workers: first each head and each motion once, then the videos.

Workers hand over through a folder: a head or motion, or the reason why there is none.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from fewshot_heads.cli.animation import animation_frames, source_head, video_frames
from fewshot_heads.cli.inputs import read_driver, read_video_source
from fewshot_heads.cli.jobs import Job
from fewshot_heads.cli.parser import error_line
from fewshot_heads.cli.session import open_reenactor
from fewshot_heads.driving.tracking import Motion
from fewshot_heads.errors import BadInput
from fewshot_heads.head import Head
from fewshot_heads.media.video_writer import VideoWriter
from fewshot_heads.preparation.workers import map_in_processes
from fewshot_heads.reenactor import Reenactor

Item = TypeVar("Item", "Part", Job)
_OPENING_KEYS = ("model", "inpainters", "landmarks", "device", "backend", "threads")


@dataclass(frozen=True)
class Part:
    """A head or a motion, which jobs share.

    Attributes:
        kind: "head" or "motion".
        paths: the sources, or the driver alone.
        config: the keys of conf/animate.yaml that it depends on, and those that open a reenactor.
    """

    kind: str
    paths: tuple[Path, ...]
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the file: equal for equal parts only."""
        text = json.dumps([self.kind, list(map(str, self.paths)), self.config], sort_keys=True)
        return f"{self.kind}_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def parts_of(job: Job) -> tuple[Part, ...]:
    """Returns the head that a job needs, unless its source is a video, and the motion."""
    opening = {key: job.config[key] for key in _OPENING_KEYS}
    head = Part("head", job.sources, opening | {"source_face": job.config["source_face"]})
    moving = {key: job.config[key] for key in ("driver_face", "smoothing")}
    motion = Part("motion", (job.driver,), opening | moving)
    return (motion,) if job.video else (head, motion)


def run_in_workers(
    work: Callable[[Path, Item], None], items: Iterable[Item], scratch: Path, workers: Mapping[str, Any]
) -> Iterator[tuple[Item, str | None]]:
    """Calls work(scratch, item) for every item, in any order; yields each item with None, or with why it failed.

    Args:
        work: `make_part` or `write_video`.
        items: what each call works on.
        scratch: folder that every worker sees, for parts and reasons.
        workers: as `map_in_processes` takes them.
    """
    with closing(map_in_processes(partial(_keep_reason, work, scratch), items, workers)) as outcomes:
        for item, died in outcomes:
            if died:
                _reason_file(scratch, item).write_text(error_line(died), encoding="utf-8")
            yield item, _reason(scratch, item)


def make_part(scratch: Path, part: Part) -> None:
    """Writes a head or a motion into the folder of parts. Raises FewshotHeadsError."""
    reenactor, path = _reenactor(part.config), scratch / part.name
    if part.kind == "head":
        source_head(reenactor, part.paths, part.config).save(path.with_suffix(".safetensors"))
    else:
        driver = read_driver(part.paths[0])
        if not isinstance(driver, Motion):
            driver = reenactor.track(driver, part.config["driver_face"], part.config["smoothing"])
        path.write_bytes(pickle.dumps(driver))  # read by this run alone, from a folder of this user


def write_video(overwrite: bool, scratch: Path, job: Job) -> None:
    """Writes the video of a job, whose parts `make_part` has made. Raises FewshotHeadsError."""
    *head_parts, motion_part = parts_of(job)
    for part in (*head_parts, motion_part):
        if reason := _reason(scratch, part):
            raise BadInput(reason)
    reenactor, config = _reenactor(motion_part.config), job.config
    motion: Motion = pickle.loads((scratch / motion_part.name).read_bytes())
    driver = read_driver(job.driver, config["side_by_side"])
    mark = reenactor.provenance(config["paste_back"]).made_from((*job.sources, job.driver))
    if head_parts:
        head = Head.load((scratch / head_parts[0].name).with_suffix(".safetensors"))
        frames = animation_frames(reenactor, head, motion, driver, config)
    else:
        source = read_video_source(job.sources[0], driver.rate)
        tracked = reenactor.track(source, config["source_face"], config["smoothing"])
        frames = video_frames(reenactor, source, tracked, motion, driver, config)
    like = driver.rate if isinstance(driver, Motion) else driver
    with VideoWriter(job.output, like, config["crf"], mark=mark, overwrite=overwrite) as writer:
        for frame in frames:
            writer.add(frame)


def _keep_reason(work: Callable[[Path, Item], None], scratch: Path, item: Item) -> None:
    """Calls work(scratch, item); an error ends the item, not the run, and its line is kept."""
    try:
        work(scratch, item)
    except Exception as error:
        _reason_file(scratch, item).write_text(error_line(error), encoding="utf-8")


def _reason_file(scratch: Path, item: Part | Job) -> Path:
    return scratch / f"{item.name}.reason"


def _reason(scratch: Path, item: Part | Job) -> str | None:
    """Returns why an item failed, None if it did not."""
    path = _reason_file(scratch, item)
    return path.read_text(encoding="utf-8") if path.exists() else None


def _reenactor(config: Mapping[str, Any]) -> Reenactor:
    """Returns the reenactor of a configuration, the last one of this process if it is the same."""
    return _opened(json.dumps({key: config[key] for key in _OPENING_KEYS}))


@lru_cache(maxsize=1)  # each takes 300 MiB
def _opened(config: str) -> Reenactor:
    return open_reenactor(json.loads(config))
