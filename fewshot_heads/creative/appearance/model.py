"""An active appearance model that samples synthetic faces (Cootes, Edwards, Taylor, ECCV 1998).

A face is its points and four maps, aligned to the mean face: brightness, color, hair and outlines. Points and maps vary
together along K directions. A code counts standard deviations of real people along them. A density over the leading
numbers of a code, a Gaussian mixture, gives synthetic faces; the other numbers are normal. Of the training people only
the leading numbers are stored, to measure how near a synthetic face comes to a real one. Refit the model:

python -m fewshot_heads.creative.appearance PREPARED [PREPARED ...] -o appearance.safetensors
    --matte --hair hair_segmentation.tflite
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fewshot_heads.errors import BadInput, check_share
from fewshot_heads.imaging.resizing import resized
from fewshot_heads.imaging.splines import REACH, tps_flow
from fewshot_heads.imaging.warping import normalize_points, resize_flow, sample
from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.media.files import atomic_write, write_error

SHIPPED = Path(__file__).parent / "appearance.safetensors"
MAPS = ("brightness", "colour", "hair", "outline")
_FORMAT = "fewshot_heads.appearance.1"
_BACKDROP_RGB = np.array([150.0, 152.0, 156.0])  # a studio's gray, lighter in the middle
# Pixels of 256 over which body and hair fade out.
_BODY_EDGE_PIXELS, _HAIR_EDGE_PIXELS = 1.5, 2.0
_MIN_LOCK_AREA_FRACTION = 0.3  # of the largest part of the hair: smaller separate parts are removed
_UNSHARP_AMOUNT = 0.6  # a mean of many people is softer than each of them
_MAX_DRAWS = 200  # after which a distance counts as out of reach


@dataclass(frozen=True)
class SampledFace:
    """A synthetic face.

    Attributes:
        picture: uint8 [S, S, 3], RGB.
        landmarks: of the model, pixels of the picture.
        distance: to the nearest training person, standard deviations over the leading numbers of a code.
    """

    picture: np.ndarray
    landmarks: Landmarks
    distance: float


@dataclass(frozen=True)
class Appearance:
    """The model: means, directions and a density of codes.

    Attributes:
        means: by name. "points" [P, 2], pixels: landmarks, then anchors of the head. "brightness" [S, S, 1], Y of body
            and face, 0 to 1. "colour" [s, s, 2], Cr and Cb, 0 to 1. "hair" [s, s, 3], RGB, 0 to 1. "outline"
            [s, s, 2], distance inside body and hair, pixels of 256.
        components: by name, [K, ...] of the shape of the mean, each for one standard deviation.
        people: [N, D], leading D numbers of the training people's codes and of their mirror images.
        shares: [M], weights of the mixture.
        centers: [M, D], means of the mixture.
        spreads: [M, D, D], covariances of the mixture, factored by Cholesky.
        min_distance: only few real people are nearer to each other, see `fitting.learn`.
    """

    means: dict[str, np.ndarray]
    components: dict[str, np.ndarray]
    people: np.ndarray
    shares: np.ndarray
    centers: np.ndarray
    spreads: np.ndarray
    min_distance: float

    @property
    def size(self) -> int:
        """Side of the pictures, S, pixels."""
        return self.means["brightness"].shape[0]

    @property
    def directions(self) -> int:
        """Length of a code, K."""
        return len(self.components["points"])

    def draw(self, rng: np.random.Generator, truncation: float = 1.0, min_distance: float | None = None) -> SampledFace:
        """Returns a synthetic face that is far enough from every training person.

        Args:
            rng: random numbers.
            truncation: 0 is the mean face, 1 the whole density.
            min_distance: least distance, standard deviations; None takes the learned one.

        Raises:
            BadInput: no draw is far enough.
        """
        check_share("truncation", truncation)
        least = self.min_distance if min_distance is None else min_distance
        farthest = 0.0
        for _ in range(_MAX_DRAWS):
            code = truncation * self._code(rng)
            distance = self.nearest(code)
            if distance >= least:
                return SampledFace(*self.render(code), distance)
            farthest = max(farthest, distance)
        raise BadInput(
            f"min_distance={least:.2f}: of {_MAX_DRAWS} draws at truncation={truncation:g} nobody is so far from "
            f"everybody it was learned from, {farthest:.2f} at most; lower min_distance or raise truncation"
        )

    def nearest(self, code: np.ndarray) -> float:
        """Returns the distance of a code [K] to the nearest training person, over the leading numbers."""
        return float(np.linalg.norm(self.people - code[: self.people.shape[1]], axis=1).min())

    def render(self, code: np.ndarray) -> tuple[np.ndarray, Landmarks]:
        """Returns the picture uint8 [S, S, 3] and the landmarks of a code.

        Args:
            code: K numbers or fewer, standard deviations; the rest are 0.
        """
        face = {
            name: mean + np.tensordot(code, self.components[name][: len(code)], 1) for name, mean in self.means.items()
        }
        layers = np.dstack([resized(face[name], self.size) for name in MAPS])
        layers = warp(layers, self.means["points"], face["points"])
        return self._composed(layers), Landmarks(face["points"][:N_POINTS].astype(np.float32))

    def _code(self, rng: np.random.Generator) -> np.ndarray:
        """Returns a draw [K] of the density."""
        kind = rng.choice(len(self.shares), p=self.shares)
        code = rng.standard_normal(self.directions)
        leading = self.people.shape[1]
        code[:leading] = self.centers[kind] + self.spreads[kind] @ code[:leading]
        return code

    def _composed(self, layers: np.ndarray) -> np.ndarray:
        """Composites layers float32 [S, S, 8], ordered as MAPS, to a picture uint8 [S, S, 3]."""
        skin = 255 * cv2.cvtColor(np.ascontiguousarray(layers[..., :3]), cv2.COLOR_YCrCb2RGB)
        body = _soft_step(layers[..., 6], _BODY_EDGE_PIXELS)
        hair = _soft_step(_without_loose_locks(layers[..., 7]), _HAIR_EDGE_PIXELS)
        person = skin * (1 - hair) + 255 * layers[..., 3:6] * hair
        person += _UNSHARP_AMOUNT * (person - cv2.GaussianBlur(person, (0, 0), 1.5 * self.size / 256))
        alpha = 1 - (1 - body) * (1 - hair)
        axis = np.linspace(-1, 1, self.size)
        backdrop = (1.15 - 0.22 * (axis**2 + (axis[:, None] + 0.2) ** 2))[..., None] * _BACKDROP_RGB
        return np.clip(person * alpha + backdrop * (1 - alpha) + 0.5, 0, 255).astype(np.uint8)

    @classmethod
    def load(cls, path: str | Path = SHIPPED) -> Appearance:
        """Returns the model in a file that `save` wrote; the shipped one by default.

        Raises:
            BadInput: the file cannot be read or holds no model.
        """
        try:
            with safe_open(path, "np") as file:
                metadata = file.metadata() or {}
                stored = {key: file.get_tensor(key).astype(np.float32) for key in file.keys()}  # noqa: SIM118
            if metadata.get("format") != _FORMAT:
                raise KeyError("format")
            names = ("points", *MAPS)
            means = {name: stored[f"mean.{name}"] for name in names}
            components = {}
            for name in names:
                steps = stored[f"step.{name}"]
                components[name] = stored[f"component.{name}"] * steps.reshape(-1, *[1] * means[name].ndim)
            density = (stored[name].astype(np.float64) for name in ("people", "shares", "centres", "spreads"))
            people, shares, centers, spreads = density
            min_distance = float(stored["min_distance"][0])
            return cls(means, components, people, shares / shares.sum(), centers, spreads, min_distance)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BadInput(
                f"{path}: not a model of appearance; make one with python -m fewshot_heads.creative.appearance PREPARED"
            ) from error

    def save(self, path: Path, overwrite: bool = False) -> None:
        """Writes a .safetensors: means in 16 bits, components in 8 bits with a step each.

        Args:
            path: the file to write.
            overwrite: whether to replace an existing file.

        Raises:
            OutputError: the file cannot be written.
        """
        tensors = {"people": self.people, "shares": self.shares, "centres": self.centers, "spreads": self.spreads}
        tensors["min_distance"] = np.array([self.min_distance])
        for name, mean in self.means.items():
            flat = self.components[name].reshape(self.directions, -1)
            steps = np.maximum(np.abs(flat).max(1, keepdims=True), 1e-12) / 127
            tensors |= {f"mean.{name}": mean, f"step.{name}": steps[:, 0]}
            tensors[f"component.{name}"] = np.round(flat / steps).astype(np.int8).reshape(-1, *mean.shape)
        compact = {name: v if v.dtype == np.int8 else _as_float(v, name) for name, v in tensors.items()}
        with atomic_write(path, (".safetensors",), overwrite) as part:
            try:
                part.write_bytes(save(compact, {"format": _FORMAT}))
            except OSError as error:
                raise write_error(path, error) from error


def warp(layers: np.ndarray, source_points: np.ndarray, target_points: np.ndarray) -> np.ndarray:
    """Returns layers float32 [S, S, C], warped by the thin-plate spline of `imaging.splines`.

    Args:
        layers: float32 [S, S, C].
        source_points: [P, 2], pixels.
        target_points: [P, 2], to which the source points move, pixels.
    """
    size = layers.shape[0]
    source, target = (
        normalize_points(np.asarray(points, np.float64), size) for points in (source_points, target_points)
    )
    flow = resize_flow(tps_flow(source, target, reach=REACH), size)
    # Beyond the picture its edge is repeated: mirroring would show a second head.
    flow = flow.clip(-1 + 1 / size, 1 - 1 / size).astype(np.float32)
    return np.dstack([sample(layer[None, None], flow)[0, 0] for layer in np.moveaxis(layers.astype(np.float32), 2, 0)])


def _as_float(values: np.ndarray, name: str) -> np.ndarray:
    """Returns large tensors in 16 bits, small or exact ones in 32."""
    large = name.startswith("mean.") or name == "people"
    return np.ascontiguousarray(values, np.float16 if large else np.float32)


def _without_loose_locks(distance: np.ndarray) -> np.ndarray:
    """Returns an outline [S, S] without small parts that are separate from the rest."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats((distance > 0).astype(np.uint8))
    areas = statistics[:, cv2.CC_STAT_AREA]
    small = areas < _MIN_LOCK_AREA_FRACTION * areas[1:].max(initial=0)
    small[0] = False
    if not small.any():
        return distance
    outside = (labels == 0) | small[labels]
    depth = cv2.distanceTransform(outside.astype(np.uint8), cv2.DIST_L2, 5)
    return cv2.GaussianBlur(np.where(outside, np.minimum(distance, -depth), distance), (0, 0), 1)


def _soft_step(distance: np.ndarray, edge: float) -> np.ndarray:
    """Returns 1 inside an outline, 0 outside, 0.5 on it, [S, S, 1]."""
    return (1 / (1 + np.exp(-np.clip(distance / edge, -30, 30))))[..., None]
