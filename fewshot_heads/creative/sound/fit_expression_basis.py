"""Fits the expression basis: `python -m fewshot_heads.creative.sound.fit_expression_basis`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fewshot_heads.cli.parser import run
from fewshot_heads.creative.sound.expression_basis import FRONTAL, SIZE, MotionBasis
from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import MIRROR, N_POINTS, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace


def learn(clips: Iterable[np.ndarray]) -> MotionBasis:
    """Principal components of how people's faces differ from their own mean in a clip.

    clips: landmarks float32 [T, 70 or more, 3] of one person each, in pixels; every clip counts alike, and as its
    mirror image too. Raises BadInput if too few faces look ahead.
    """
    covariance, count = np.zeros((3 * N_POINTS, 3 * N_POINTS)), 0
    for clip in clips:
        faces = [CanonicalFace.of(Landmarks.from_array(points[:N_POINTS])) for points in clip]
        local = np.array([face.shape for face in faces if face.pose.rotation[2, 2] > FRONTAL])
        if len(local) < SIZE:
            continue
        offsets = local - local.mean(0)
        for seen in (offsets, offsets[:, MIRROR] * [-1, 1, 1]):
            flat = seen.reshape(len(seen), -1)
            covariance += flat.T @ flat / len(flat)
        count += 2
    if not count:
        raise BadInput(f"no clip with {SIZE} faces that look ahead; prepare videos of people who face the camera")
    variances, directions = np.linalg.eigh(covariance / count)
    common = slice(-1, -SIZE - 1, -1)
    return MotionBasis(directions.T[common].reshape(SIZE, N_POINTS, 3), np.sqrt(variances[common]))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, as `cli.run` does."""
    parser = argparse.ArgumentParser(description="Learns a motion basis from the training clips of prepared data.")
    parser.add_argument("prepared", help="what python -m fewshot_heads.prepare made")
    parser.add_argument("-o", "--output", type=Path, default=Path("motion_basis.json"))
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(argv)

    def make() -> Path:
        from tqdm import tqdm

        from fewshot_heads.datasets.shards import open_shards

        clips = [clip for clip in open_shards(arguments.prepared, "train") if clip.kind == "video"]
        basis = learn(clip.landmarks for clip in tqdm(clips, "faces", disable=None, unit="clip"))
        basis.save(arguments.output, arguments.overwrite)
        return arguments.output

    return run(make, arguments.debug)


if __name__ == "__main__":
    sys.exit(main())
