"""A linear basis of facial expressions, so that generated motion stays plausible.

An expression is an offset [70, 3] of the landmarks from the person's mean face, in the head's frame (see
`landmarks.pose`). The basis has K directions, most common first, each with its standard deviation over real clips.
Coefficients `z` count standard deviations. Refit the basis from prepared data:

python -m fewshot_heads.creative.sound.fit_expression_basis PREPARED -o motion_basis.json
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import MIRROR, N_POINTS, Landmarks
from fewshot_heads.landmarks.canonical_face import CanonicalFace
from fewshot_heads.landmarks.pose import MEAN_HEAD
from fewshot_heads.media.files import atomic_write, write_error

SHIPPED = Path(__file__).parent / "motion_basis.json"
SIZE = 16  # directions kept
# Cosine of 25 degrees: farther turned faces are left out, where depth errors would look like expressions.
MIN_FRONTAL_COSINE = np.cos(np.radians(25))


def _mean_y(points: Sequence[int]) -> np.ndarray:
    """Returns the measure [70, 3] of the mean height of some points; y points down."""
    measure = np.zeros((N_POINTS, 3))
    measure[list(points), 1] = 1 / len(points)
    return measure


# Linear measures of a face [70, 3]: (measure * face).sum(), in head units.
MOUTH = _mean_y([65, 66, 67]) - _mean_y([61, 62, 63])  # gap of the inner lips
BROWS = -_mean_y(range(17, 27))  # height of the brows
EYES = _mean_y([40, 41, 46, 47]) - _mean_y([37, 38, 43, 44])  # gap of the lids


@dataclass(frozen=True)
class MotionBasis:
    """A basis of expressions.

    Attributes:
        components: [K, 70, 3], orthonormal, head units.
        deviations: [K], standard deviations over real clips, head units.
    """

    components: np.ndarray
    deviations: np.ndarray

    @classmethod
    def load(cls, path: str | Path = SHIPPED) -> MotionBasis:
        """Returns the basis in a file that `save` wrote; the shipped one by default.

        Raises:
            BadInput: the file cannot be read or holds no basis.
        """
        try:
            stored = json.loads(Path(path).read_text())
            components, deviations = np.array(stored["components"], float), np.array(stored["deviations"], float)
            return cls(components.reshape(len(deviations), N_POINTS, 3), deviations)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path}: not a motion basis; make one with "
                "python -m fewshot_heads.creative.sound.fit_expression_basis PREPARED"
            ) from error

    def save(self, path: Path, overwrite: bool = False) -> None:
        """Writes the basis to a .json.

        Args:
            path: the file to write.
            overwrite: whether to replace an existing file.

        Raises:
            OutputError: the file cannot be written.
        """
        components = self.components.reshape(len(self.components), -1).round(4).tolist()
        with atomic_write(path, (".json",), overwrite) as part:
            try:
                part.write_text(json.dumps({"deviations": self.deviations.round(5).tolist(), "components": components}))
            except OSError as error:
                raise write_error(path, error) from error

    def faces(self, z: np.ndarray, limit: float = np.inf) -> np.ndarray:
        """Returns the offsets [T, 70, 3] of coefficients.

        Args:
            z: [T, K], standard deviations.
            limit: where a coefficient exceeds it, all coefficients of that frame shrink by one factor.
        """
        z = z * np.minimum(1, limit / np.maximum(np.abs(z).max(1, keepdims=True), 1e-9))
        return np.tensordot(z * self.deviations, self.components, 1)

    def steer(self, measures: Sequence[np.ndarray]) -> np.ndarray:
        """Returns coefficients [M, K] that change one measure each by its standard deviation.

        The other measures stay. As z is normal, the most likely offset is the shortest one: the pseudo-inverse.

        Args:
            measures: M linear measures [70, 3].
        """
        gradients = self._gradients(measures)
        return np.linalg.pinv(gradients).T * np.linalg.norm(gradients, axis=1, keepdims=True)

    def _gradients(self, measures: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the derivatives [M, K] of measures by z; a row's length is the measure's standard deviation."""
        return np.tensordot(np.stack(measures), self.components, ((1, 2), (1, 2))) * self.deviations

    def free_components(self, fixed: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the most common motions that leave some measures unchanged.

        The first value is z [count, K], one standard deviation of each motion. The second is those deviations [count]
        in head units. As offsets the motions are orthogonal.

        Args:
            fixed: linear measures [70, 3] that stay.
            count: number of motions.
        """
        fixed_directions, _ = np.linalg.qr(self._gradients(fixed).T)
        free = (np.eye(len(self.deviations)) - fixed_directions @ fixed_directions.T) * self.deviations
        _, spread, directions = np.linalg.svd(free, full_matrices=False)
        return directions[:count] * spread[:count, None] / self.deviations, spread[:count]

    @cached_property
    def neutral(self) -> np.ndarray:
        """The mean head with closed lips, [70, 3], head units."""
        mouth = self.faces(self.steer([MOUTH]))[0]
        return MEAN_HEAD - mouth * (MOUTH * MEAN_HEAD).sum() / (MOUTH * mouth).sum()


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
