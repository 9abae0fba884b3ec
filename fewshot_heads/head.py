"""A person, ready to be animated: what is saved, loaded, morphed and passed around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fewshot_heads.errors import BadInput
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.media.files import atomic_write, write_error

_FORMAT = "fewshot_heads.head.1"
_TUNED = "tuned."


@dataclass(frozen=True)
class Head:
    """One person (K pictures) as the generator sees them. Immutable; made by `Reenactor.embed` or `.fine_tune`.

    e_hat: float32 [E], the identity embedding, mean over the K pictures.
    style: float32 [P], every AdaIN scale and shift.
    textures: uint8 [K, R, R, 3], the crops, at their own resolution R (a multiple of 32). What moves of a lone picture
        is taken from `picture`, which goes on beyond its crop.
    landmarks: K faces in pixels of the generator's crop (size x size, not R x R).
    picture: uint8 [H, W, 3], the first picture whole, into which the moving head is pasted back.
    crop: where in `picture` the first texture lies.
    generator: sha256 of the weights that made it; only those can animate it.
    tuned: the generator's state after fine-tuning, which then takes the place of the shipped one; or None.
    """

    e_hat: Tensor
    style: Tensor
    textures: np.ndarray
    landmarks: list[Landmarks]
    picture: np.ndarray
    crop: Crop
    generator: str
    tuned: Mapping[str, Tensor] | None = None

    @property
    def usual(self) -> Crop:
        """Where `Crop.around` would lie, in pixels of its crop: a lone picture's gives hair more room than that
        (`framing.expand_crop_for_hair`), one of `crop="full"` is framed in any way. All of it for several pictures."""
        own, size = self.crop, self.crop.size
        if len(self.landmarks) > 1:
            return Crop(0, 0, size, size)
        around = Crop.around([own.from_crop(self.landmarks[0])], size)
        left, top = (around.left - own.left) * own.scale, (around.top - own.top) * own.scale
        return Crop(left, top, around.side * own.scale, size)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Writes one `.safetensors` file; pictures inside it are lossless PNG. Raises OutputError."""
        path = Path(path)
        points = np.stack([face.to_array() for face in self.landmarks])
        tensors = {"e_hat": self.e_hat, "style": self.style, "landmarks": torch.from_numpy(points)}
        tensors["confidence"] = torch.tensor([face.confidence for face in self.landmarks])
        tensors["crop"] = torch.tensor([self.crop.left, self.crop.top, self.crop.side, self.crop.size])
        tensors["picture"] = _to_png(self.picture)
        for i, texture in enumerate(self.textures):
            tensors[f"texture_{i}"] = _to_png(texture)
        for name, value in (self.tuned or {}).items():
            tensors[f"{_TUNED}{name}"] = value.half()
        about = {"format": _FORMAT, "generator": self.generator}
        with atomic_write(path, (".safetensors",), overwrite) as part:
            try:
                part.write_bytes(save({key: value.cpu().contiguous() for key, value in tensors.items()}, about))
            except OSError as error:
                raise write_error(path, error) from error

    @classmethod
    def load(cls, path: str | Path) -> Head:
        """Reads what `save` wrote. Raises BadInput for anything else."""
        path = Path(path)
        if not path.is_file():
            raise BadInput(f"{path}: no such file")
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no dict)
            if about.get("format") != _FORMAT:
                raise KeyError("format")
            points, confidence = tensors["landmarks"].numpy(), tensors["confidence"].tolist()
            faces = [Landmarks.from_array(array, sure) for array, sure in zip(points, confidence, strict=True)]
            left, top, side, size = tensors["crop"].tolist()
            textures = np.stack([_from_png(tensors[f"texture_{i}"]) for i in range(len(faces))])
            picture, crop = _from_png(tensors["picture"]), Crop(left, top, side, int(size))
            tuned = {k.removeprefix(_TUNED): v.float() for k, v in tensors.items() if k.startswith(_TUNED)}
            return cls(
                tensors["e_hat"], tensors["style"], textures, faces, picture, crop, about["generator"], tuned or None
            )
        except (OSError, SafetensorError, KeyError, ValueError, IndexError, TypeError, cv2.error) as error:
            raise BadInput(f"{path}: not a head saved by fewshot_heads; make one with Head.save") from error


def _to_png(image: np.ndarray) -> Tensor:
    return torch.from_numpy(cv2.imencode(".png", image[..., ::-1])[1].ravel())


def _from_png(data: Tensor) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data.numpy(), cv2.IMREAD_COLOR))[..., ::-1])
