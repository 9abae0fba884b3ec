"""Footage to shards: the steps of `prepare`, each resumable."""

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
from fewshot_heads.datasets.shards import INDEX, open_shards, read_index
from fewshot_heads.errors import BadInput, OutputError
from fewshot_heads.media.files import atomic_write_in, write_error
from fewshot_heads.preparation.filters import Filters, Reject
from fewshot_heads.preparation.packing import SPLITS, assign_identities, assign_splits_to_clips, collect, write_shards
from fewshot_heads.preparation.sources import Source, digest, find_sources
from fewshot_heads.preparation.work_units import WorkUnitMaker, read_work_unit, write_work_unit
from fewshot_heads.preparation.workers import map_in_processes

_log = logging.getLogger(__name__)
_REJECTED, _SUMMARY, _SHEET = "rejected.jsonl", "prepare.json", "contact_sheet.png"


def prepare_footage(root: Path, out: Path, settings: Mapping[str, Any], workers: Mapping[str, Any]) -> Path:
    """Prepares the footage below root into out, or goes on with it; returns out.

    The bytes written are the same whoever works on them and however often they were stopped.
    settings: the keys of conf/prepare.yaml. workers: see `map_in_processes`.
    """
    began = time.monotonic()
    how = settings["identity"]
    sources = find_sources(root, how in ("auto", "folder"), skip=out)
    state = {"version": __version__, "settings": dict(settings)}
    footage = digest([(source.name, source.bytes) for source in sources])
    scratch = out / ".parts"
    if (out / INDEX).exists():
        _check_finished(root, out, state, footage)
        shutil.rmtree(scratch, ignore_errors=True)
        _log.warning("%s: is complete already, nothing to do", out)
        return out
    _begin(out, scratch, state)

    lost = []
    if how == "folder":
        lost = [{"source": source.name, "reason": "no_folder"} for source in sources if source.identity is None]
        sources = [source for source in sources if source.identity is not None]
    looked_at = _make_parts(root, sources, scratch, settings, workers)
    clips, rejects, seconds = collect(sources, scratch)
    rejects = lost + rejects
    _write_lines(out / _REJECTED, scratch, rejects)
    if not clips:
        shutil.rmtree(scratch)
        raise BadInput(
            f"{root}: no clip is left ({_tally(_by_reason(rejects))}); {out / _REJECTED} says why, file by file"
        )
    for stale in out.glob("*.tar"):  # of a run that was stopped while it packed, perhaps before more footage came
        stale.unlink()
    clips = assign_splits_to_clips(
        assign_identities(clips, how, settings["identity_threshold"]), settings["val_fraction"], settings["seed"]
    )
    rows, sheet = write_shards(clips, out, scratch, settings["shard_size_mib"] << 20)
    with atomic_write_in(out / _SHEET, scratch) as file:
        file.write(sheet)
    totals = _totals(len(sources), rows, rejects, seconds)
    with atomic_write_in(out / _SUMMARY, scratch) as file:
        file.write(json.dumps({**state, "footage": footage, **totals}, indent=2).encode() + b"\n")
    _write_lines(out / INDEX, scratch, rows)  # last: a folder that has it is complete
    shutil.rmtree(scratch)

    _report(out, totals, looked_at, time.monotonic() - began)
    return out


def _begin(out: Path, scratch: Path, state: Mapping[str, Any]) -> None:
    """Makes the folder, or finds the one that was begun with the same settings."""
    begun = scratch / "state.json"
    if begun.exists():
        _check_settings(out, json.loads(begun.read_bytes()), state)
        return
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; choose a new folder")
    if out.exists() and {path.name for path in out.iterdir()} - {scratch.name, _REJECTED}:
        raise OutputError(f"{out}: has other files in it; choose a new folder")
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    with atomic_write_in(begun, scratch) as file:
        file.write(json.dumps(state).encode())


def _check_finished(root: Path, out: Path, state: Mapping[str, Any], footage: str) -> None:
    """Raises BadInput unless out is complete and what this run would have made."""
    before = json.loads((out / _SUMMARY).read_bytes())
    _check_settings(out, before, state)
    if before["footage"] != footage:
        raise BadInput(f"{out}: was prepared from other files than {root} has now; choose another folder")
    for split in sorted({row["split"] for row in read_index(out)}):
        open_shards(out, split)


def _check_settings(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if before["version"] != now["version"]:
        raise BadInput(f"{out}: was begun by version {before['version']}; choose another folder")
    old, new = before["settings"], json.loads(json.dumps(now["settings"]))
    changed = [key for key in new if old.get(key) != new[key]]
    if changed:
        what = ", ".join(f"{key}={old.get(key)} (now {new[key]})" for key in changed)
        raise BadInput(f"{out}: was begun with {what}; go on with that, or choose another folder")


def _make_parts(
    root: Path, sources: list[Source], scratch: Path, settings: Mapping[str, Any], workers: Mapping[str, Any]
) -> float:
    """Every part that is not there yet; returns the seconds of video looked at."""
    limits = Filters(**{field.name: settings[field.name] for field in fields(Filters)})
    nameless = any(source.identity is None for source in sources)
    network = settings["face_network"] if nameless and settings["identity"] in ("auto", "cluster") else None
    make = WorkUnitMaker(root, scratch, limits, tuple(settings["landmarks"].items()), network)
    missing = [source for source in sources if not make.done(source)]
    bar = tqdm(total=len(sources), initial=len(sources) - len(missing), desc="prepare", unit="file", disable=None)
    with bar, closing(map_in_processes(make, missing, workers)) as done:
        for source, died in done:
            if died:
                write_work_unit(scratch, source, [Reject(source.name, "crashed", detail=str(died))])
            bar.update()
    return sum(read_work_unit(scratch, source).seconds for source in missing)


def _totals(sources: int, rows: list[dict[str, Any]], rejects: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    return {
        "sources": sources,
        "source_seconds": round(seconds, 3),
        "identities": {split: len({r["identity"] for r in rows if r["split"] == split}) for split in SPLITS},
        "clips": {split: sum(row["split"] == split for row in rows) for split in SPLITS},
        "frames": sum(row["frames"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 3),
        "rejects": _by_reason(rejects),
    }


def _report(out: Path, totals: Mapping[str, Any], looked_at: float, work: float) -> None:
    """What was made, to read. The time it took stands in no file: it is no part of the result."""
    people, clips = totals["identities"], sum(totals["clips"].values())
    print(f"{people['train']} people to train on, {people['val']} held out: {clips} clips, {totals['seconds']:.0f} s")
    print(f"left out: {_tally(totals['rejects'])}; {out / _REJECTED} lists them, {out / _SHEET} shows the rest")
    print(f"{looked_at:.0f} s of video in {work:.0f} s of work, {looked_at / work:.2f} a second")


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "nothing"


def _by_reason(rejects: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    return dict(sorted(Counter(reject["reason"] for reject in rejects).items()))


def _write_lines(path: Path, scratch: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with atomic_write_in(path, scratch) as file:
        file.writelines(json.dumps(row).encode() + b"\n" for row in rows)
