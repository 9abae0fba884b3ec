"""Faces nobody has: an active appearance model of the training people (Cootes, Edwards, Taylor, ECCV 1998).

A face is its points and four maps in the place of the mean face: brightness, color, hair and outlines. Points and maps
vary together along K directions, and a code counts standard deviations of real people along them. A density over the
leading numbers of a code (a Gaussian mixture; the others are normal) gives people who do not exist. Of the training
people only those leading numbers are kept, to measure how near somebody invented comes to somebody real. Remake it:

python -m fewshot_heads.creative.appearance PREPARED [PREPARED ...] -o appearance.safetensors
    --matte selfie_segmentation.tflite --hair hair_segmentation.tflite
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fewshot_heads.errors import BadInput
from fewshot_heads.imaging.convert import resized
from fewshot_heads.imaging.warping import REACH, normalize_points, resize_flow, sample, tps_flow
from fewshot_heads.landmarks import N_POINTS, Landmarks
from fewshot_heads.media.files import atomic_write, write_error

SHIPPED = Path(__file__).parent / "appearance.safetensors"
MAPS = ("brightness", "colour", "hair", "outline")
_FORMAT = "fewshot_heads.appearance.1"
_BACKDROP = np.array([150.0, 152.0, 156.0])  # of a studio: a gray that is lighter in the middle
_BODY_EDGE, _HAIR_EDGE = 1.5, 2.0  # pixels of 256 over which body and hair end
_LOCK = 0.3  # of the largest part of the hair: what is smaller and apart is no hair
_CRISP = 0.6  # of an unsharp mask: a mean of many people is softer than any of them
_TRIES = 200  # draws after which a distance counts as out of reach


@dataclass(frozen=True)
class SampledFace:
    """Somebody who does not exist.

    picture: uint8 [S, S, 3]; landmarks: where the model has them, pixels of it. distance: to the nearest training
    person, in standard deviations of real people over the leading numbers of a code.
    """

    picture: np.ndarray
    landmarks: Landmarks
    distance: float


@dataclass(frozen=True)
class Appearance:
    """means, components: "points" [P, 2] in pixels, the landmarks first, then the anchors of the head, and MAPS,
    [s, s, C] with s = S or less; the components are [K, ...], for one standard deviation each.

    brightness [S, S, 1] and color [s, s, 2] are Y, Cr and Cb of body and face, 0 to 1; hair [s, s, 3] is its RGB, 0 to
    1; outline [s, s, 2] how far inside body and hair a place lies, pixels of 256.
    people: [N, D], the leading D numbers of the training people's codes and of their mirror images.
    shares [M], centers [M, D], spreads [M, D, D]: the mixture, covariances factored by Cholesky.
    min_distance: nearer than this few real people come to each other, see `learning.learn`.
    """

    means: dict[str, np.ndarray]
    components: dict[str, np.ndarray]
    people: np.ndarray
    shares: np.ndarray
    centres: np.ndarray
    spreads: np.ndarray
    min_distance: float

    @property
    def size(self) -> int:
        """S, pixels of a side of the pictures."""
        return self.means["brightness"].shape[0]

    @property
    def directions(self) -> int:
        """K, the numbers of a code."""
        return len(self.components["points"])

    def draw(self, rng: np.random.Generator, truncation: float = 1.0, min_distance: float | None = None) -> SampledFace:
        """Somebody at least min_distance (None is the learned one) from every training person.

        truncation: 0 is the mean face, 1 the whole density. Raises BadInput where nobody is so far away.
        """
        if not 0 <= truncation <= 1:
            raise BadInput(f"truncation={truncation}: expected a number from 0 to 1")
        least = self.min_distance if min_distance is None else min_distance
        farthest = 0.0
        for _ in range(_TRIES):
            code = truncation * self._code(rng)
            distance = self.nearest(code)
            if distance >= least:
                return SampledFace(*self.render(code), distance)
            farthest = max(farthest, distance)
        raise BadInput(
            f"min_distance={least:.2f}: of {_TRIES} draws at truncation={truncation:g} nobody is so far from everybody"
            f" it was learned from, {farthest:.2f} at most; lower min_distance or raise truncation"
        )

    def nearest(self, code: np.ndarray) -> float:
        """Distance of a code [K] to the nearest training person, over the numbers that are kept of them."""
        return float(np.linalg.norm(self.people - code[: self.people.shape[1]], axis=1).min())

    def render(self, code: np.ndarray) -> tuple[np.ndarray, Landmarks]:
        """The picture uint8 [S, S, 3] and the landmarks of a code, its first K numbers or fewer; the rest are 0."""
        face = {
            name: mean + np.tensordot(code, self.components[name][: len(code)], 1) for name, mean in self.means.items()
        }
        layers = np.dstack([resized(face[name], self.size) for name in MAPS])
        layers = warp(layers, self.means["points"], face["points"])
        return self._composed(layers), Landmarks(face["points"][:N_POINTS].astype(np.float32))

    def _code(self, rng: np.random.Generator) -> np.ndarray:
        """One draw [K] of the density."""
        kind = rng.choice(len(self.shares), p=self.shares)
        code = rng.standard_normal(self.directions)
        leading = self.people.shape[1]
        code[:leading] = self.centres[kind] + self.spreads[kind] @ code[:leading]
        return code

    def _composed(self, layers: np.ndarray) -> np.ndarray:
        """Layers float32 [S, S, 8], in the order of MAPS, to a portrait uint8 [S, S, 3]: hair on body on backdrop."""
        skin = 255 * cv2.cvtColor(np.ascontiguousarray(layers[..., :3]), cv2.COLOR_YCrCb2RGB)
        body, hair = _inside(layers[..., 6], _BODY_EDGE), _inside(_joined(layers[..., 7]), _HAIR_EDGE)
        person = skin * (1 - hair) + 255 * layers[..., 3:6] * hair
        person += _CRISP * (person - cv2.GaussianBlur(person, (0, 0), 1.5 * self.size / 256))
        there = 1 - (1 - body) * (1 - hair)
        across = np.linspace(-1, 1, self.size)
        backdrop = (1.15 - 0.22 * (across**2 + (across[:, None] + 0.2) ** 2))[..., None] * _BACKDROP
        return np.clip(person * there + backdrop * (1 - there) + 0.5, 0, 255).astype(np.uint8)

    @classmethod
    def load(cls, path: str | Path = SHIPPED) -> Appearance:
        """What `save` wrote. Raises BadInput."""
        try:
            with safe_open(path, "np") as file:
                about = file.metadata() or {}
                stored = {key: file.get_tensor(key).astype(np.float32) for key in file.keys()}  # noqa: SIM118
            if about.get("format") != _FORMAT:
                raise KeyError("format")
            names = ("points", *MAPS)
            means = {name: stored[f"mean.{name}"] for name in names}
            components = {}
            for name in names:
                steps = stored[f"step.{name}"]
                components[name] = stored[f"component.{name}"] * steps.reshape(-1, *[1] * means[name].ndim)
            density = (stored[name].astype(np.float64) for name in ("people", "shares", "centres", "spreads"))
            people, shares, centres, spreads = density
            least = float(stored["min_distance"][0])
            return cls(means, components, people, shares / shares.sum(), centres, spreads, least)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BadInput(
                f"{path}: not a model of appearance; make one with python -m fewshot_heads.creative.appearance PREPARED"
            ) from error

    def save(self, path: Path, overwrite: bool = False) -> None:
        """Writes a .safetensors: means in 16 bits, components in 8 with a step each. Raises OutputError."""
        tensors = {name: getattr(self, name) for name in ("people", "shares", "centres", "spreads")}
        tensors["min_distance"] = np.array([self.min_distance])
        for name, mean in self.means.items():
            flat = self.components[name].reshape(self.directions, -1)
            steps = np.maximum(np.abs(flat).max(1, keepdims=True), 1e-12) / 127
            tensors |= {f"mean.{name}": mean, f"step.{name}": steps[:, 0]}
            tensors[f"component.{name}"] = np.round(flat / steps).astype(np.int8).reshape(-1, *mean.shape)
        small = {k: v if v.dtype == np.int8 else _plain(v, k) for k, v in tensors.items()}
        with atomic_write(path, (".safetensors",), overwrite) as part:
            try:
                part.write_bytes(save(small, {"format": _FORMAT}))
            except OSError as error:
                raise write_error(path, error) from error


def warp(layers: np.ndarray, seen: np.ndarray, there: np.ndarray) -> np.ndarray:
    """float32 [S, S, C], carried by the spline of `models.texture` from points [P, 2] to others, pixels."""
    size = layers.shape[0]
    source, target = (
        normalize_points(torch.from_numpy(np.asarray(points, np.float64)), size)[None] for points in (seen, there)
    )
    flow = resize_flow(tps_flow(source, target, reach=REACH).float(), size)
    # What lies beyond the picture goes on as its edge does: mirrored there, a head would grow a second one.
    flow = flow.clamp(-1 + 1 / size, 1 - 1 / size)
    image = torch.from_numpy(np.ascontiguousarray(layers, dtype=np.float32)).permute(2, 0, 1)[None]
    return sample(image, flow)[0].permute(1, 2, 0).numpy()


def _plain(values: np.ndarray, name: str) -> np.ndarray:
    """Sixteen bits for what is large, thirty-two for what is small or must be exact."""
    large = name.startswith("mean.") or name == "people"
    return np.ascontiguousarray(values, np.float16 if large else np.float32)


def _joined(distance: np.ndarray) -> np.ndarray:
    """The same outline [S, S] without small locks that hang in the air."""
    _, labels, about, _ = cv2.connectedComponentsWithStats((distance > 0).astype(np.uint8))
    areas = about[:, cv2.CC_STAT_AREA]
    small = areas < _LOCK * areas[1:].max(initial=0)
    small[0] = False
    if not small.any():
        return distance
    rest = (labels == 0) | small[labels]
    away = cv2.distanceTransform(rest.astype(np.uint8), cv2.DIST_L2, 5)
    return cv2.GaussianBlur(np.where(rest, np.minimum(distance, -away), distance), (0, 0), 1)


def _inside(distance: np.ndarray, edge: float) -> np.ndarray:
    """[S, S, 1]: 1 inside an outline, 0 outside, half on it; distances in pixels of 256."""
    return (1 / (1 + np.exp(-np.clip(distance / edge, -30, 30))))[..., None]
