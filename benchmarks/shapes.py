"""Reads results of the benchmarks and checks the shape of the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fewshot_heads.errors import BadInput

NULL = type(None)
NUMBER = (int, float, NULL)
RESULT = {"command": str, "machine": {...: (str, int, NULL)}}
NAMED = {"name": str, "sha256": str}
ROW = {"protocol": str, "k_shot": int, "case": str}
MEANS = {...: {...: {"mean": NUMBER, "low": NUMBER, "high": NUMBER}}}  # column -> measure
RUN = RESULT | {  # quality.json, see `misfit`
    "model": (NULL, NAMED),
    "models": (NULL, {...: str}),
    "judges": {...: (NULL, NAMED)},
    "data": {"clips": str, "index": str, "count": int},
    "measures": {...: {"title": str, "digits": int, "better": str}},
    "columns": {...: str},
    "tables": [
        {
            **{"protocol": str, "k_shot": int, "cases": int, "identities": int, "failed": int},
            **{"columns": MEANS, "against_warp": (NULL, MEANS), "worst": {...: [str]}},
        }
    ],
    "rows": [(ROW | {"failed": str}, ROW | {"columns": {...: {...: NUMBER}}, "files": {...: (NULL, str)}})],
}


def misfit(value: Any, shape: Any, where: str = "it") -> str:
    """Returns in words where a value does not fit a shape; empty if it fits.

    Args:
        value: parsed JSON.
        shape: a type, a tuple of alternative shapes, a list with the shape of all items, or a dict of shapes by key.
            The key `...` stands for all other keys. A value that may be null may be absent.
        where: name of the value.
    """
    if isinstance(shape, tuple):
        faults = [misfit(value, alternative, where) for alternative in shape]
        return "" if "" in faults else faults[-1]
    if isinstance(shape, type):
        return "" if isinstance(value, shape) else f"{where} is no {shape.__name__}"
    if not isinstance(value, type(shape)):
        return f"{where} is no {type(shape).__name__}"
    if isinstance(shape, list):
        checks = [(item, shape[0], f"{where}[{i}]") for i, item in enumerate(value)]
    elif absent := [key for key, kind in shape.items() if key is not ... and key not in value and misfit(None, kind)]:
        return f"{where} has no {absent[0]!r}"
    else:
        checks = [(item, shape.get(key, shape.get(..., object)), f"{where}.{key}") for key, item in value.items()]
    return next((fault for check in checks if (fault := misfit(*check))), "")


def text(path: Path, writer: str) -> str:
    """Returns the text of a file. Raises BadInput; writer: the benchmark that makes the file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; give what {writer} wrote") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not text; run {writer} again") from error


def load(path: Path, shape: Any, writer: str) -> dict[str, Any]:
    """Returns the JSON of a file. Raises BadInput if the file has another shape."""
    try:
        report = json.loads(text(path, writer), parse_constant=lambda constant: None)
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}: not JSON ({error}); run {writer} again") from error
    if fault := misfit(report, shape):
        raise BadInput(f"{path}: not what {writer} writes: {fault}; run {writer} again")
    return report


def load_run(folder: Path) -> dict[str, Any]:
    """Returns quality.json of a run. Raises BadInput for an unlisted column or measure."""
    path, writer = folder / "quality.json", "benchmarks.quality"
    report = load(path, RUN, writer)
    columns = [column for table in report["tables"] for column in table["columns"].items()]
    used = {"columns": {name for name, _ in columns}, "measures": {name for _, means in columns for name in means}}
    for kind, names in used.items():
        if unknown := sorted(names.difference(report[kind])):
            raise BadInput(f"{path}: not what {writer} writes: it.{kind} has no {unknown[0]!r}; run {writer} again")
    return report
