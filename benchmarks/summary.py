"""Makes tables of measured cases: means, intervals, differences, the worst cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.measures import MEASURES
from fewshot_heads import metrics

_WORST_CASES = 3  # named in a table

Rows = Sequence[dict[str, Any]]


def tables(folder: Path, rows: Rows) -> list[dict[str, Any]]:
    """Returns a table for each protocol and k_shot, in the order of the rows.

    Args:
        folder: of the features.
        rows: results of cases.
    """
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["protocol"], row["k_shot"]), []).append(row)
    return [_table(folder, group) for group in groups.values()]


def _table(folder: Path, rows: Rows) -> dict[str, Any]:
    """Returns the table of one protocol and k_shot: means with intervals, and the worst cases."""
    good = [row for row in rows if "failed" not in row]
    names = list(good[0]["columns"]) if good else []
    columns = {name: _means([(row["identity"], row["columns"][name]) for row in good]) for name in names}
    against = {
        name: _means([(row["identity"], _difference(row["columns"][name], row["columns"]["warp"])) for row in good])
        for name in names
        if "warp" in names and name != "warp"
    }
    for name, distances in _distances(folder, good).items():
        columns[name] |= distances
    ranked = "vgg" if any("vgg" in next(iter(row["columns"].values()), {}) for row in good) else "csim"
    worst = {}
    for name in names:
        known = [row for row in good if row["columns"][name].get(ranked) is not None]
        known.sort(key=lambda row: row["columns"][name][ranked], reverse=ranked == "vgg")
        worst[name] = [row["case"] for row in known[:_WORST_CASES]]
    return {
        "protocol": rows[0]["protocol"],
        "k_shot": rows[0]["k_shot"],
        "cases": len(good),
        "identities": len({row["identity"] for row in good}),
        "failed": len(rows) - len(good),
        "columns": columns,
        "against_warp": against,
        "by_tone": _by_tone(good, names),
        "worst": worst,
    }


def _by_tone(good: Rows, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the means of people with darker and lighter skin, divided at the median."""
    tones: dict[str, list[float]] = {}
    for row in good:
        if row.get("tone") is not None:
            tones.setdefault(row["identity"], []).append(row["tone"])
    people = {identity: float(np.median(values)) for identity, values in tones.items()}
    if len(people) < 2:
        return {}
    middle = float(np.median([*people.values()]))
    halves = {
        f"darker, under {middle:.0f} degrees": {person for person, tone in people.items() if tone < middle},
        f"lighter, {middle:.0f} degrees and over": {person for person, tone in people.items() if tone >= middle},
    }
    return {
        half: {
            name: _means([(row["identity"], row["columns"][name]) for row in good if row["identity"] in members])
            for name in names
        }
        for half, members in halves.items()
    }


def _difference(values: Mapping[str, float | None], others: Mapping[str, float | None]) -> dict[str, float | None]:
    pairs = {key: (value, others.get(key)) for key, value in values.items()}
    return {key: a - b for key, (a, b) in pairs.items() if a is not None and b is not None}


def _means(values: Sequence[tuple[str, Mapping[str, float | None]]]) -> dict[str, dict[str, float]]:
    """Returns measure -> mean over identities with its 95 % bootstrap interval.

    The value of an identity is the mean over its cases.

    Args:
        values: of each case the identity, and measure -> value.
    """
    result = {}
    for measure in MEASURES:
        by_identity: dict[str, list[float]] = {}
        for identity, row in values:
            if measure in row:
                value = row[measure]
                by_identity.setdefault(identity, []).append(float("nan") if value is None else value)
        if by_identity:
            means = [common.mean(cases) for cases in by_identity.values()]
            low, high = common.bootstrap(means)
            result[measure] = {"mean": common.mean(means), "low": low, "high": high}
    return result


def _distances(folder: Path, good: Rows) -> dict[str, dict[str, dict[str, float]]]:
    """Returns column -> Fréchet distances of all frames to all true frames."""
    pooled: dict[str, list[np.ndarray]] = {}
    for row in good:
        with np.load(folder / f"{row['features']}.npz") as file:
            for key in file.files:
                pooled.setdefault(key, []).append(file[key])
    result: dict[str, dict[str, dict[str, float]]] = {}
    for key, features in pooled.items():
        column, _, judge = key.rpartition("/")
        if column != "truth" and f"truth/{judge}" in pooled:
            value = metrics.frechet_distance(np.concatenate(features), np.concatenate(pooled[f"truth/{judge}"]))
            name = {"csim": "face_frechet", "fid": "fid"}[judge]
            result.setdefault(column, {})[name] = {"mean": value, "low": float("nan"), "high": float("nan")}
    return result


def measures(identity: str) -> dict[str, Any]:
    """Returns how each measure is shown; identity: name of the face-recognition network."""
    face = {"title": f"Fréchet distance of {identity} embeddings ↓", "digits": 4, "better": "low"}
    of_cases = {key: measure._asdict() for key, measure in MEASURES.items()}
    return {**of_cases, "face_frechet": face, "fid": {"title": "FID ↓", "digits": 1, "better": "low"}}
