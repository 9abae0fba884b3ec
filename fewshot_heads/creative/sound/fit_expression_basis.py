"""Fits the expression basis to prepared clips.

python -m fewshot_heads.creative.sound.fit_expression_basis PREPARED -o motion_basis.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fewshot_heads.cli.parser import add_output_arguments, parse_and_run
from fewshot_heads.cli.signals import ends_on_signals
from fewshot_heads.creative.sound.expression_basis import MIN_FRONTAL_COSINE, SIZE, MotionBasis
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import MIRROR, N_POINTS, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace


def learn(clips: Iterable[np.ndarray]) -> MotionBasis:
    """Returns the principal components of the offsets of faces from their clip's mean face.

    Every clip has the same weight, and so has its mirror image.

    Args:
        clips: for each clip of one person landmarks float32 [T, 70 or more, 3], pixels.

    Raises:
        BadInput: no clip has enough frontal faces.
    """
    covariance, count = np.zeros((3 * N_POINTS, 3 * N_POINTS)), 0
    for clip in clips:
        faces = [CanonicalFace.of(Landmarks.from_array(points[:N_POINTS])) for points in clip]
        shapes = np.array([face.shape for face in faces if face.pose.rotation[2, 2] > MIN_FRONTAL_COSINE])
        if len(shapes) < SIZE:
            continue
        offsets = shapes - shapes.mean(0)
        for samples in (offsets, offsets[:, MIRROR] * [-1, 1, 1]):
            flat = samples.reshape(len(samples), -1)
            covariance += flat.T @ flat / len(flat)
        count += 2
    if not count:
        raise BadInput(f"no clip with {SIZE} faces that look ahead; prepare videos of people who face the camera")
    variances, directions = np.linalg.eigh(covariance / count)
    largest = slice(-1, -SIZE - 1, -1)
    return MotionBasis(directions.T[largest].reshape(SIZE, N_POINTS, 3), np.sqrt(variances[largest]))


@ends_on_signals
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code, see `cli.parser.run`."""
    parser = argparse.ArgumentParser(description="Learns a motion basis from the training clips of prepared data.")
    parser.add_argument("prepared", help="what python -m fewshot_heads.prepare made")
    add_output_arguments(parser, "default motion_basis.json here", Path("motion_basis.json"))
    return parse_and_run(parser, _fit, argv)


def _fit(arguments: argparse.Namespace) -> Path:
    from tqdm import tqdm

    from fewshot_heads.datasets.shards import open_shards

    clips = [clip for clip in open_shards(arguments.prepared, "train") if clip.kind == "video"]
    basis = learn(clip.landmarks for clip in tqdm(clips, "faces", disable=None, unit="clip"))
    basis.save(arguments.output, arguments.overwrite)
    return arguments.output


if __name__ == "__main__":
    sys.exit(main())
