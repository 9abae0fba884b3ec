"""Errors of pose, expression, gaze and landmarks of a column, and its behavior in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from benchmarks import common
from fewshot_heads import metrics


class Reference(NamedTuple):
    """What changes of a face are measured from.

    Attributes:
        expression: blendshapes [52], 0 to 1.
        landmarks: [70, 3], pixels and depth.
    """

    expression: np.ndarray
    landmarks: np.ndarray


def motion_errors(
    result: Mapping[str, np.ndarray],
    target: Mapping[str, np.ndarray],
    references: tuple[Reference, Reference] | None,
) -> dict[str, float]:
    """Returns measure -> value of pose, expression, landmarks and temporal behavior.

    Args:
        result: `_features` of a column.
        target: `_features` of the driver.
        references: the source, and the frame of the driver that corresponds to it. None if both are the same footage:
            expression and gaze are then compared as they are, and between other people their changes.
    """
    scores = [features["expression"] for features in (result, target)]
    gazes = [metrics.gaze(features["landmarks"]) for features in (result, target)]
    if references is not None:
        scores = [values - start.expression for values, start in zip(scores, references, strict=True)]
        gazes = [values - metrics.gaze(start.landmarks[None]) for values, start in zip(gazes, references, strict=True)]
    values = {
        "no_face": float(np.isnan(result["landmarks"][..., :2]).any((1, 2)).mean()),
        "pose": common.mean(metrics.pose_error(result["landmarks"], target["landmarks"])),
        "expression": common.mean(metrics.expression_error(*scores)),
        "gaze": common.mean(np.linalg.norm(gazes[0] - gazes[1], axis=1)),
        **metrics.movement_correlations(result["expression"], target["expression"]),
        "brow_height": metrics.brow_correlation(result["landmarks"], target["landmarks"]),
    }
    if references is None:
        values["akd"] = common.mean(metrics.akd(result["landmarks"][..., :2], target["landmarks"][..., :2]))
    else:
        values["shape_leak"] = metrics.shape_leak(references[0].landmarks, result["landmarks"], target["landmarks"])
    points, driver_points = result["sequence_landmarks"][..., :2], target["sequence_landmarks"][..., :2]
    if len(points) > 1:
        values["jitter"] = _ratio(metrics.jitter(points), metrics.jitter(driver_points))
        values["mouth_flicker"] = _ratio(
            metrics.mouth_flicker(result["sequence_images"], points),
            metrics.mouth_flicker(target["sequence_images"], driver_points),
        )
        values["flicker"] = 255 * metrics.flicker(result["sequence_images"], points)
    return values


def _ratio(value: float, of_driver: float) -> float:
    """Returns a value over the driver's, NaN if the driver's is 0."""
    return value / of_driver if of_driver > 0 else float("nan")
