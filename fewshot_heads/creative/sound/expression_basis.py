"""How real faces move: a small basis of expressions, learned from clips, in which invented motion stays plausible.

An expression is an offset [70, 3] of the landmarks from the person's usual face, in the head's frame (see
`landmarks.geometry`). The basis has K directions, most common first, each with its standard deviation over real
clips; coefficients `z` count in those. Remake it from your own prepared data:

python -m fewshot_heads.creative.sound.fit_expression_basis PREPARED -o motion_basis.json
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import N_POINTS
from fewshot_heads.landmarks.pose import MEAN_HEAD
from fewshot_heads.media.files import atomic_write, write_error

SHIPPED = Path(__file__).parent / "motion_basis.json"
SIZE = 16  # directions kept
FRONTAL = np.cos(np.radians(25))  # faces turned farther are left out: depth errors would look like expressions


def _mean_y(points: Sequence[int]) -> np.ndarray:
    """The measure [70, 3] that takes the mean height of some points; y points down."""
    measure = np.zeros((N_POINTS, 3))
    measure[list(points), 1] = 1 / len(points)
    return measure


# Linear measures of a face [70, 3]: (measure * face).sum(), head units.
MOUTH = _mean_y([65, 66, 67]) - _mean_y([61, 62, 63])  # gap of the inner lips
BROWS = -_mean_y(range(17, 27))  # height of the brows
EYES = _mean_y([40, 41, 46, 47]) - _mean_y([37, 38, 43, 44])  # gap of the lids


@dataclass(frozen=True)
class MotionBasis:
    """components: [K, 70, 3], orthonormal, head units; deviations: [K], standard deviations over real clips."""

    components: np.ndarray
    deviations: np.ndarray

    @classmethod
    def load(cls, path: str | Path = SHIPPED) -> MotionBasis:
        """What `save` wrote. Raises BadInput."""
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
        """Writes a .json. Raises OutputError."""
        components = self.components.reshape(len(self.components), -1).round(4).tolist()
        with atomic_write(path, (".json",), overwrite) as part:
            try:
                part.write_text(json.dumps({"deviations": self.deviations.round(5).tolist(), "components": components}))
            except OSError as error:
                raise write_error(path, error) from error

    def faces(self, z: np.ndarray, limit: float = np.inf) -> np.ndarray:
        """Coefficients [T, K] to offsets [T, 70, 3]; where one lies beyond `limit` deviations, all shrink alike."""
        z = z * np.minimum(1, limit / np.maximum(np.abs(z).max(1, keepdims=True), 1e-9))
        return np.tensordot(z * self.deviations, self.components, 1)

    def steer(self, measures: Sequence[np.ndarray]) -> np.ndarray:
        """z [M, K]: for each linear measure [70, 3] the likeliest offset that changes it by one standard deviation of
        its own and leaves the other measures as they are. As z ~ N(0, 1), the likeliest is the shortest."""
        gradients = self._gradients(measures)
        return np.linalg.pinv(gradients).T * np.linalg.norm(gradients, axis=1, keepdims=True)

    def _gradients(self, measures: Sequence[np.ndarray]) -> np.ndarray:
        """[M, K]: what each measure gains for one of each z; its length is the measure's standard deviation."""
        return np.tensordot(np.stack(measures), self.components, ((1, 2), (1, 2))) * self.deviations

    def play(self, fixed: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `count` most common motions that leave the `fixed` measures as they are.

        Returns z [count, K], each one deviation of itself, and those deviations [count] in head units; as offsets
        they are orthogonal.
        """
        along, _ = np.linalg.qr(self._gradients(fixed).T)
        free = (np.eye(len(self.deviations)) - along @ along.T) * self.deviations
        _, spread, directions = np.linalg.svd(free, full_matrices=False)
        return directions[:count] * spread[:count, None] / self.deviations, spread[:count]

    @cached_property
    def neutral(self) -> np.ndarray:
        """[70, 3]: the mean head with its lips closed."""
        mouth = self.faces(self.steer([MOUTH]))[0]
        return MEAN_HEAD - mouth * (MOUTH * MEAN_HEAD).sum() / (MOUTH * mouth).sum()
