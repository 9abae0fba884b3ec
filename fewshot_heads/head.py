"""A person that is ready to be animated, and the file format of heads."""

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

_FORMAT = "fewshot_heads.head.3"
_TUNED = "tuned."


@dataclass(frozen=True)
class Head:
    """One person as networks read them, immutable; made by `Reenactor.embed` or `Reenactor.fine_tune`.

    Attributes:
        e_hat: float32 [E], the identity embedding, mean over the K source images.
        style: float32 [P], every AdaIN scale and shift.
        textures: uint8 [K, R, R, 3], crops of the source images, R a multiple of 32.
        heads: uint8 [K, R, R, 4], RGB and alpha of face, ears, hair and hat in each crop.
        body: uint8 [R, R, 4], RGB and alpha of the body in the first crop, complete behind the head.
        background: uint8 [R, R, 3], the first crop without the person.
        landmarks: K faces, pixels of the generator's crop S x S.
        picture: uint8 [H, W, 3], the complete first source image, into which the moving head is pasted back.
        crop: position of the first texture in `picture`.
        generator: sha256 of the weights that made the head. Other weights cannot animate the head.
        tuned: state dict of the generator after fine-tuning, which replaces the checkpoint's; or None.
    """

    e_hat: Tensor
    style: Tensor
    textures: np.ndarray
    heads: np.ndarray
    body: np.ndarray
    background: np.ndarray
    landmarks: list[Landmarks]
    picture: np.ndarray
    crop: Crop
    generator: str
    tuned: Mapping[str, Tensor] | None = None

    @property
    def person(self) -> np.ndarray:
        """Opacity of the person in the first crop, float32 [R, R], 0 to 1."""
        return np.maximum(self.heads[0, ..., 3], self.body[..., 3]).astype(np.float32) / 255

    @property
    def usual(self) -> Crop:
        """The crop that `Crop.around` gives for the face, pixels of the head's crop.

        The head's crop may differ: it has more room for hair, and `crop="full"` has any framing.
        """
        crop, size = self.crop, self.crop.size
        around = Crop.around([crop.from_crop(self.landmarks[0])], size)
        left, top = (around.left - crop.left) * crop.scale, (around.top - crop.top) * crop.scale
        return Crop(left, top, around.side * crop.scale, size)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Writes the head to a `.safetensors` file, with images as lossless PNG.

        Args:
            path: the file.
            overwrite: whether an existing file is replaced.

        Raises:
            OutputError: the file cannot be written.
        """
        path = Path(path)
        points = np.stack([face.to_array() for face in self.landmarks])
        tensors = {"e_hat": self.e_hat, "style": self.style, "landmarks": torch.from_numpy(points)}
        tensors["confidence"] = torch.tensor([face.confidence for face in self.landmarks])
        tensors["crop"] = torch.tensor([self.crop.left, self.crop.top, self.crop.side, self.crop.size])
        tensors["picture"] = _to_png(self.picture)
        for i, texture in enumerate(self.textures):
            tensors[f"texture_{i}"] = _to_png(texture)
        for i, layer in enumerate(self.heads):
            tensors[f"head_{i}"] = _to_png(layer)
        tensors["body"], tensors["background"] = _to_png(self.body), _to_png(self.background)
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
        """Returns a head from a file that `save` wrote.

        Args:
            path: the file.

        Raises:
            BadInput: no such file, or a file of another kind.
        """
        path = Path(path)
        if not path.is_file():
            raise BadInput(f"{path}: no such file")
        about: dict[str, str] = {}
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
            heads = np.stack([_from_png(tensors[f"head_{i}"]) for i in range(len(faces))])
            body, background = _from_png(tensors["body"]), _from_png(tensors["background"])
            return cls(
                tensors["e_hat"], tensors["style"], textures, heads, body, background, faces, picture, crop,
                about["generator"], tuned or None,
            )  # fmt: skip
        except (OSError, SafetensorError, KeyError, ValueError, IndexError, TypeError, cv2.error) as error:
            if about.get("format", "").startswith(_FORMAT.rstrip("0123456789")) and about["format"] != _FORMAT:
                raise BadInput(
                    f"{path}: a head of another version of fewshot_heads; embed its pictures again"
                ) from error
            raise BadInput(f"{path}: not a head saved by fewshot_heads; make one with Head.save") from error


def _to_png(image: np.ndarray) -> Tensor:
    """Returns an RGB or RGBA image as the bytes of a PNG file."""
    code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return torch.from_numpy(cv2.imencode(".png", cv2.cvtColor(image, code))[1].ravel())


def _from_png(data: Tensor) -> np.ndarray:
    """Returns the RGB or RGBA image of a PNG file."""
    image = np.asarray(cv2.imdecode(data.numpy(), cv2.IMREAD_UNCHANGED))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
