"""Command line that measures the quality of columns, protocol by protocol.

python -m benchmarks.quality -o RUN clips=FOLDER [key=value ...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks import common, summary
from benchmarks.cases import Case, find_clips, find_portraits, fingerprint, make_cases
from benchmarks.columns import checkpoints
from benchmarks.judge import Judge, hashes
from benchmarks.report import markdown
from benchmarks.turned import PROTOCOL, turned_cases
from fewshot_heads import VideoWriter
from fewshot_heads.cli.config import load_config
from fewshot_heads.cli.parser import make_parser, run
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.errors import BadInput, first_line
from fewshot_heads.media.files import atomic_write_in
from fewshot_heads.models.checkpoint import load_checkpoint
from fewshot_heads.preparation.workers import map_in_processes

_TITLES = {"still": "still source", "warp": "bare warp"}
# Settings that may change when a run is resumed: they select cases and do not change measurements. Hashes identify
# the footage.
_FREE = (
    "protocols",
    "k_shots",
    "max_clips_per_identity",
    "max_identities",
    "workers",
    "clips",
    "portraits",
    "people",
    "drivers",
)


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, see `cli.parser.run`."""
    parser = make_parser(
        "benchmark",
        "-o RUN clips=FOLDER [key=value ...]",
        "Measures columns on cases, a file each. A RUN that exists is resumed. To view it: benchmarks.report RUN",
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    arguments = parser.parse_intermixed_args(argv)
    return run(lambda: quality(arguments.output, arguments.overrides), arguments.debug)


def quality(out: Path, overrides: Sequence[str]) -> Path:
    """Measures the missing cases and writes quality.json and quality.md; returns the latter.

    Args:
        out: folder of the run.
        overrides: `key=value` for conf/benchmark.yaml.

    Raises:
        BadInput: no clips, no case, or a run that was measured with other settings.
    """
    chosen = load_config("benchmark", overrides)
    if not chosen["clips"] and set(chosen["protocols"]) != {PROTOCOL}:
        raise BadInput("clips=FOLDER is missing: <identity>/<name>.mp4 head crops, or what prepare wrote")
    clips = find_clips(chosen["clips"], chosen["split"]) if chosen["clips"] else []
    portraits = find_portraits(chosen["portraits"]) if chosen["portraits"] else []
    turned = turned_cases(chosen["people"], chosen["split"]) if chosen["people"] else []
    cases = make_cases(clips, portraits, turned, chosen)
    if not cases:
        raise BadInput(
            "no case: for paintings name portraits=FOLDER, for turned people=FOLDER; cross_reenactment needs two "
            "people or more"
        )
    _judge(json.dumps(chosen))  # reports bad settings before anything is written
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; choose another folder with -o")
    (out / "cases").mkdir(parents=True, exist_ok=True)
    account = _account(chosen, clips, portraits, [case.source for case in turned])
    _same_settings(out, account)
    missing = [case for case in cases if not (out / "cases" / f"{case.slug}.json").is_file()]
    with tqdm(total=len(cases), initial=len(cases) - len(missing), unit="case", disable=None) as bar:
        for case, died in map_in_processes(partial(_measure, chosen, out / "cases"), missing, chosen["workers"]):
            if died:
                _write_row(out / "cases", case, {"failed": str(died)})
            bar.update()
    rows = [json.loads((out / "cases" / f"{case.slug}.json").read_text()) for case in cases]
    report = {
        "command": common.command("benchmarks.quality", dict(override.split("=", 1) for override in overrides)),
        "machine": common.machine(),
        **account,
        "measures": summary.measures(account["judges"]["csim"]["name"]),
        "columns": {column: _TITLES.get(column, column) for column in chosen["columns"]},
        "tables": summary.tables(out / "cases", rows),
        "rows": rows,
    }
    common.write_report(out / "quality.json", report, markdown(report))
    return out / "quality.md"


def _account(
    chosen: Mapping[str, Any], clips: Sequence[Any], portraits: Sequence[Any], pairs: Sequence[Any]
) -> dict[str, Any]:
    """Returns the hashes of weights, judging networks and footage, and the settings."""
    models = checkpoints(chosen)
    data = {"index": fingerprint([*clips, *portraits, *pairs]), "count": len(clips), "portraits": len(portraits)}
    data |= {"pairs": len(pairs)} if pairs else {}
    first = next(iter(models.values()), None)
    inpainters = [load_checkpoint(name) for name in chosen["inpainters"]] if models else []
    return {
        "model": {"name": first.name, "sha256": first.sha256} if first else None,
        "models": {name: model.sha256 for name, model in models.items()}
        | {inpainter.name: inpainter.sha256 for inpainter in inpainters},
        "judges": hashes(chosen),
        "data": {"clips": Path(chosen["clips"] or chosen["people"]).name, **data},
        "settings": {key: _without_folders(value) for key, value in chosen.items() if key not in _FREE},
    }


def _without_folders(value: Any) -> Any:
    """Returns the setting with file names instead of paths, which are private."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    return Path(value).name if isinstance(value, str) and Path(value).exists() else value


def _same_settings(out: Path, account: Mapping[str, Any]) -> None:
    """Records the settings of a new run. Raises BadInput if they differ later."""
    path = out / "settings.json"
    current = common.strict_json({key: account[key] for key in ("models", "judges", "data", "settings")})
    if not path.is_file():
        with atomic_write_in(path, out) as file:
            file.write(json.dumps(current, indent=1).encode())
        return
    recorded = json.loads(path.read_text())
    for key in current:
        if recorded.get(key) != current[key]:
            raise BadInput(f"{out}: holds cases measured with other {key}; choose another folder with -o")


@cache
def _judge(settings: str) -> Judge:
    """Returns one judge for the whole process; settings: as JSON."""
    return Judge(json.loads(settings))


def _measure(chosen: Mapping[str, Any], folder: Path, case: Case) -> None:
    """Measures one case and writes its files.

    The row is written last. A case without a row is measured again.
    """
    judge = _judge(json.dumps(chosen))
    try:
        outcome = judge(case)
    except Exception as error:  # a clip that breaks the library is a finding, not the end of the run
        kind = "" if isinstance(error, BadInput) else f"{type(error).__name__}: "
        _write_row(folder, case, {"failed": f"{kind}{first_line(error)}"})
        return
    features: dict[str, Any] = {name: rows.astype(np.float32) for name, rows in outcome.features.items()}
    np.savez_compressed(folder / f"{case.slug}.npz", **features)
    files: dict[str, str | None] = {"sheet": None, "video": None}
    if outcome.sheet is not None:
        sheet, video = folder / f"{case.slug}.jpg", folder / f"{case.slug}.mp4"
        cv2.imwrite(str(sheet), outcome.sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        with VideoWriter(video, 25, crf=23, overwrite=True) as writer:
            for frame in outcome.video:
                writer.add(frame)
        files = {"sheet": f"cases/{sheet.name}", "video": f"cases/{video.name}"}
    _write_row(folder, case, {"files": files, "tone": outcome.tone, "columns": outcome.columns})


def _write_row(folder: Path, case: Case, facts: Mapping[str, Any]) -> None:
    """Writes the result of one case as JSON."""
    row = {"protocol": case.protocol, "k_shot": case.k_shot, "case": case.name, "identity": case.source.identity}
    row |= {"source": case.source.name, "driver": case.driver.name, **facts}
    with atomic_write_in(folder / f"{case.slug}.json", folder) as file:
        file.write(json.dumps(common.strict_json({**row, "features": case.slug}), indent=1).encode())


if __name__ == "__main__":
    sys.exit(main())
