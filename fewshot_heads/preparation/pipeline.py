"""The steps of `prepare`, from footage to shards.

An interrupted run is resumed after its last finished work unit.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fewshot_heads._version import __version__
from fewshot_heads.datasets.shard_index import INDEX, read_index
from fewshot_heads.datasets.shards import open_shards
from fewshot_heads.errors import BadInput, OutputError
from fewshot_heads.features.mobilefacenet import MobileFaceNet
from fewshot_heads.media.files import atomic_write_in, write_error
from fewshot_heads.preparation.filters import Filters, Reject
from fewshot_heads.preparation.packing import SPLITS, assign_identities, assign_splits_to_clips, collect, write_shards
from fewshot_heads.preparation.sources import Source, digest, find_sources
from fewshot_heads.preparation.work_units import WorkUnitMaker, read_work_unit, write_work_unit
from fewshot_heads.preparation.workers import map_in_processes

_log = logging.getLogger(__name__)
_REJECTED, _SUMMARY, _SHEET = "rejected.jsonl", "prepare.json", "contact_sheet.png"
_SCRATCH = ".parts"  # holds the work units until all are packed


def prepare_footage(root: Path, out: Path, settings: Mapping[str, Any], workers: Mapping[str, Any]) -> Path:
    """Prepares the footage below root, or resumes an interrupted run; returns `out`.

    The bytes written depend neither on the number of workers nor on interruptions.

    Args:
        root: folder of footage.
        out: folder to write. It must be new, empty, or begun by the same command.
        settings: the keys of conf/prepare.yaml, without `workers`.
        workers: see `map_in_processes`.

    Raises:
        BadInput: no footage, no usable clip, or other settings or files than those that `out` was begun with.
        OutputError: `out` cannot be written.
    """
    start = time.monotonic()
    rule = settings["identity"]
    sources = find_sources(root, rule in ("auto", "folder"), skip=out)
    state = {"version": __version__, "settings": dict(settings)}
    footage = digest([(source.name, source.bytes) for source in sources])
    scratch = out / _SCRATCH
    if (out / INDEX).exists():
        _check_finished(root, out, state, footage)
        shutil.rmtree(scratch, ignore_errors=True)
        _log.warning("%s: is complete already, nothing to do", out)
        return out
    if settings["face_network"]:
        MobileFaceNet(settings["face_network"])  # a bad file is told before the folder remembers its name
    _begin(out, scratch, state)

    no_folder = []
    if rule == "folder":
        no_folder = [{"source": source.name, "reason": "no_folder"} for source in sources if source.identity is None]
        sources = [source for source in sources if source.identity is not None]
    seconds_of_this_run = _make_work_units(root, sources, scratch, settings, workers)
    clips, rejects, seconds = collect(sources, scratch)
    rejects = no_folder + rejects
    _write_lines(out / _REJECTED, scratch, rejects)
    if not clips:
        shutil.rmtree(scratch)
        raise BadInput(
            f"{root}: no clip is left ({_tally(_by_reason(rejects))}); {out / _REJECTED} says why, file by file"
        )
    for stale in out.glob("*.tar"):  # an earlier run may have been stopped while it packed fewer clips
        stale.unlink()
    clips = assign_splits_to_clips(
        assign_identities(clips, rule, settings["identity_threshold"]), settings["val_fraction"], settings["seed"]
    )
    rows, sheet = write_shards(clips, out, scratch, settings["shard_size_mib"] << 20)
    with atomic_write_in(out / _SHEET, scratch) as file:
        file.write(sheet)
    totals = _totals(len(sources), rows, rejects, seconds)
    with atomic_write_in(out / _SUMMARY, scratch) as file:
        file.write(json.dumps({**state, "footage": footage, **totals}, indent=2).encode() + b"\n")
    _write_lines(out / INDEX, scratch, rows)  # last: a folder that has it is complete
    shutil.rmtree(scratch)

    _report(out, totals, seconds_of_this_run, time.monotonic() - start)
    return out


def _begin(out: Path, scratch: Path, state: Mapping[str, Any]) -> None:
    """Creates the folder, or accepts a folder that was begun with the same settings."""
    state_file = scratch / "state.json"
    if state_file.exists():
        _check_settings(out, json.loads(state_file.read_bytes()), state)
        return
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; choose a new folder")
    if out.exists() and {path.name for path in out.iterdir()} - {scratch.name, _REJECTED}:
        raise OutputError(f"{out}: has other files in it; choose a new folder")
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    with atomic_write_in(state_file, scratch) as file:
        file.write(json.dumps(state).encode())


def _check_finished(root: Path, out: Path, state: Mapping[str, Any], footage: str) -> None:
    """Raises BadInput unless `out` is complete and equals the result of this run."""
    summary = json.loads((out / _SUMMARY).read_bytes())
    _check_settings(out, summary, state)
    if summary["footage"] != footage:
        raise BadInput(f"{out}: was prepared from other files than {root} has now; choose another folder")
    for split in sorted({row["split"] for row in read_index(out)}):
        open_shards(out, split)


def _check_settings(out: Path, begun: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Raises BadInput if the folder was begun with another version or setting."""
    if begun["version"] != state["version"]:
        raise BadInput(f"{out}: was begun by version {begun['version']}; choose another folder")
    old, new = begun["settings"], json.loads(json.dumps(state["settings"]))
    changed = [key for key in new if old.get(key) != new[key]]
    if changed:
        what = ", ".join(f"{key}={old.get(key)} (now {new[key]})" for key in changed)
        raise BadInput(f"{out}: was begun with {what}; go on with that, or choose another folder")


def _make_work_units(
    root: Path, sources: list[Source], scratch: Path, settings: Mapping[str, Any], workers: Mapping[str, Any]
) -> float:
    """Makes the missing work units; returns the seconds of video that were read for them."""
    filters = Filters(**{field.name: settings[field.name] for field in fields(Filters)})
    nameless = any(source.identity is None for source in sources)
    network = settings["face_network"] if nameless and settings["identity"] in ("auto", "cluster") else None
    make = WorkUnitMaker(root, scratch, filters, tuple(settings["landmarks"].items()), network)
    missing = [source for source in sources if not make.done(source)]
    bar = tqdm(total=len(sources), initial=len(sources) - len(missing), desc="prepare", unit="file", disable=None)
    with bar, closing(map_in_processes(make, missing, workers)) as outcomes:
        for source, died in outcomes:
            if died:
                write_work_unit(scratch, source, [Reject(source.name, "crashed", detail=str(died))])
            bar.update()
    return sum(read_work_unit(scratch, source).seconds for source in missing)


def _totals(sources: int, rows: list[dict[str, Any]], rejects: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Returns the counts for prepare.json.

    Args:
        sources: number of sources.
        rows: of the index.
        rejects: rows of rejected.jsonl.
        seconds: length of all videos.
    """
    return {
        "sources": sources,
        "source_seconds": round(seconds, 3),
        "identities": {split: len({r["identity"] for r in rows if r["split"] == split}) for split in SPLITS},
        "clips": {split: sum(row["split"] == split for row in rows) for split in SPLITS},
        "frames": sum(row["frames"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 3),
        "rejects": _by_reason(rejects),
    }


def _report(out: Path, totals: Mapping[str, Any], seconds: float, work_seconds: float) -> None:
    """Prints a summary. The duration is printed only: files must not depend on it."""
    people, clips = totals["identities"], sum(totals["clips"].values())
    print(f"{people['train']} people to train on, {people['val']} held out: {clips} clips, {totals['seconds']:.0f} s")
    print(f"left out: {_tally(totals['rejects'])}; {out / _REJECTED} lists them, {out / _SHEET} shows the rest")
    print(f"{seconds:.0f} s of video in {work_seconds:.0f} s of work, {seconds / work_seconds:.2f} a second")


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "nothing"


def _by_reason(rejects: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    return dict(sorted(Counter(reject["reason"] for reject in rejects).items()))


def _write_lines(path: Path, scratch: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with atomic_write_in(path, scratch) as file:
        file.writelines(json.dumps(row).encode() + b"\n" for row in rows)
