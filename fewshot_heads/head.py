"""A person that is ready to be animated, and the file format of heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from safetensors.numpy import save

from fewshot_heads.errors import BadInput, WeightsMismatch
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.crop import Crop
from fewshot_heads.landmarks.plausibility import are_faces, opacity_at
from fewshot_heads.media.files import SAVED, atomic_write, write_error
from fewshot_heads.media.images import MAX_SIDE_PX, check_image, check_size
from fewshot_heads.media.saved_file import Layout, SavedKind, check_layout, from_png, open_saved, to_png

MAX_SOURCES = 128  # images of a head; their textures take up to 7 MB each, twice while a file is read
MAX_TEXTURE_PIXELS = 1024  # side of a texture
# Side of the crop, pixels and sides of the picture. At 22 pixels no face is found. 3,266 pictures have up to 1.5 sides.
MIN_CROP_PIXELS, MAX_CROP_PIXELS, MAX_CROP_PICTURES = 16, 8192, 4
MAX_PICTURE_PIXELS = MAX_SIDE_PX**2  # as `read_image` gives; a video of 100 million pixels a frame took 7 GiB
MAX_FILE_BYTES = 2**29  # the paper's networks, fine-tuned, take 2**27
# Largest absolute values. Shipped networks make values of e_hat and style under 2; float16 holds weights to 65504.
MAX_CODE, MAX_WEIGHT = 1e3, 65504.0
_KIND = SavedKind("head", "fewshot_heads.head.3", MAX_FILE_BYTES, "embed its pictures again", "make one with Head.save")
_TUNED = "tuned."
_MIN_FACE_OPACITY = 0.25  # of the head layer at the landmarks; separation makes more than 0.9
_CLOSE_UP_MARGIN = 0.1  # of the crop: what goes on below it decides how the body moves


@dataclass(frozen=True, eq=False)
class Head:
    """One person as networks read them, immutable; made by `Reenactor.embed` or `Reenactor.fine_tune`.

    A value of another type, shape or range raises BadInput, wherever the head comes from.

    Attributes:
        e_hat: float32 [E], the identity embedding, mean over the K source images.
        style: float32 [P], every AdaIN scale and shift.
        textures: uint8 [K, R, R, 3], crops of the source images, K up to 128, R a multiple of 32 up to 1024.
        heads: uint8 [K, R, R, 4], RGB and alpha of face, ears, hair and hat in each crop.
        body: uint8 [R, R, 4], RGB and alpha of the body in the first crop, complete behind the head.
        background: uint8 [R, R, 3], the first crop without the person.
        landmarks: K faces, pixels of the generator's crop S x S.
        picture: uint8 [H, W, 3], the complete first source image, into which the moving head is pasted back. The face
            is upright.
        crop: position of the first texture in `picture`.
        generator: sha256 of the weights that made the head. Other weights cannot animate the head.
        tuned: float32 weights of the generator by their names, after fine-tuning; or None. They replace those shipped.
        turns: quarter turns counterclockwise, 0 to 3, that made the first source image upright. Frames are turned back.
    """

    e_hat: np.ndarray
    style: np.ndarray
    textures: np.ndarray
    heads: np.ndarray
    body: np.ndarray
    background: np.ndarray
    landmarks: list[Landmarks]
    picture: np.ndarray
    crop: Crop
    generator: str
    tuned: Mapping[str, np.ndarray] | None = None
    turns: int = 0

    def __post_init__(self) -> None:
        side = self.textures.shape[1] if self.textures.ndim == 4 else 0
        count, (height, width) = len(self.landmarks), self.picture.shape[:2]
        shapes: dict[str, tuple[int, ...]] = {"textures": (count, side, side, 3), "heads": (count, side, side, 4)}
        shapes |= {"body": (side, side, 4), "background": (side, side, 3)}
        _require(0 < count <= MAX_SOURCES, f"{count} landmarks", f"1 to {MAX_SOURCES}")
        _require(0 < side <= MAX_TEXTURE_PIXELS and side % 32 == 0, f"textures of side {side}", "a multiple of 32")
        for name, shape in shapes.items():
            array = getattr(self, name)
            fits = array.dtype == np.uint8 and array.shape == shape
            _require(fits, f"{name} {array.dtype} {list(array.shape)}", f"uint8 {list(shape)}")
        _require(self.turns in range(4), f"turns={self.turns}", "0 to 3")
        for name in ("e_hat", "style"):
            code = getattr(self, name)
            is_row = code.dtype == np.float32 and code.ndim == 1
            _require(is_row, f"{name} {code.dtype} {list(code.shape)}", "float32, one row")
            _require(_all_within(code, MAX_CODE), f"{name} with NaN or large values", f"up to {MAX_CODE:g}")
        for name, weights in (self.tuned or {}).items():
            _require(_all_within(weights, MAX_WEIGHT), f"tuned {name} with NaN or large values", "weights")
        check_image("a head's picture", self.picture)
        check_size("a head's picture", width, height, MAX_PICTURE_PIXELS)
        crop = self.crop
        meets = -crop.side < crop.left < width and -crop.side < crop.top < height  # False for NaN
        _require(0 < crop.size <= MAX_TEXTURE_PIXELS, f"a crop to {crop.size} pixels", f"up to {MAX_TEXTURE_PIXELS}")
        meets &= MIN_CROP_PIXELS <= crop.side <= min(MAX_CROP_PIXELS, MAX_CROP_PICTURES * max(width, height))
        _require(meets, str(crop), f"a square of {width}x{height} pixels")
        for face, layer in zip(self.landmarks, self.heads, strict=True):
            points = face.to_array()
            near = (np.abs(points[:, :2] - crop.size / 2) <= 2 * crop.size).all()
            _require(bool(near), "landmarks far from the crop", f"pixels around 0 to {crop.size}")
            _require(are_faces(points[None]), "landmarks that span no face", "two eyes and a mouth")
            _require(0 <= face.confidence <= 1, f"confidence {face.confidence}", "0 to 1")
            shown = opacity_at(points[:, :2] * (side / crop.size), layer[..., 3]) >= _MIN_FACE_OPACITY
            _require(shown, "a head layer without its face", "opaque pixels there")

    @property
    def person(self) -> np.ndarray:
        """Opacity of the person in the first crop, float32 [R, R], 0 to 1."""
        return np.maximum(self.heads[0, ..., 3], self.body[..., 3]).astype(np.float32) / 255

    def as_given(self, frame: np.ndarray) -> np.ndarray:
        """Returns the picture, or a frame of the head, turned as the source image was given.

        Args:
            frame: uint8 [H, W, 3].
        """
        return np.ascontiguousarray(np.rot90(frame, -self.turns))

    def check_fits(
        self, sha256: str, size: int, shapes: Mapping[str, tuple[int, ...]], name: str = "this head"
    ) -> None:
        """Checks that a generator can animate the head.

        Args:
            sha256: hash of the weights file.
            size: side S of the generator's crop, pixels.
            shapes: of "e_hat" and "style", and of the generator's weights, if the head has its own.
            name: name of the head in the message.

        Raises:
            WeightsMismatch: other weights made the head, or the head's values have other shapes.
        """
        if self.generator != sha256:
            raise WeightsMismatch(f"{name}: made by another generator; embed the pictures again with this one")
        own = {"e_hat": self.e_hat, "style": self.style, **(self.tuned or {})}
        if self.crop.size != size or {key: value.shape for key, value in own.items()} != shapes:
            raise WeightsMismatch(f"{name}: damaged, does not fit its own generator; embed the pictures again")

    @property
    def usual(self) -> Crop:
        """The crop that `Crop.around` gives for the face, pixels of the head's crop.

        The head's crop may differ: it has more room for hair, and `crop="full"` has any framing.
        """
        crop, size = self.crop, self.crop.size
        around = Crop.around([crop.from_crop(self.landmarks[0])], size)
        left, top = (around.left - crop.left) * crop.scale, (around.top - crop.top) * crop.scale
        return Crop(left, top, around.side * crop.scale, size)

    def close_up(self, side: int) -> Head:
        """Returns the head in a small picture that shows its crop with a margin: fast to render, for a preview.

        Args:
            side: of the crop in the picture, pixels, a multiple of 32. A smaller crop keeps its size.
        """
        crop, (height, width) = self.crop, self.picture.shape[:2]
        scale, margin = min(1.0, side / crop.side), _CLOSE_UP_MARGIN * crop.side
        left, top = (max(0, int(start - margin)) for start in (crop.left, crop.top))
        right, bottom = min(width, int(crop.left + crop.side + margin)), min(height, int(crop.top + crop.side + margin))
        picture = self.picture[top:bottom, left:right]
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        small = min(side, len(self.body))

        def resized(image: np.ndarray) -> np.ndarray:
            return cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)

        return replace(
            self, textures=np.stack([*map(resized, self.textures)]), heads=np.stack([*map(resized, self.heads)]),
            body=resized(self.body), background=resized(self.background), picture=picture,
            crop=Crop((crop.left - left) * scale, (crop.top - top) * scale, crop.side * scale, crop.size),
        )  # fmt: skip

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
        arrays = {"e_hat": self.e_hat, "style": self.style, "landmarks": points}
        arrays["confidence"] = np.array([face.confidence for face in self.landmarks], np.float32)
        arrays["crop"] = np.array([self.crop.left, self.crop.top, self.crop.side, self.crop.size], np.float32)
        images = {"picture": self.picture, "body": self.body, "background": self.background}
        for i, (texture, layer) in enumerate(zip(self.textures, self.heads, strict=True)):
            images |= {f"texture_{i}": texture, f"head_{i}": layer}
        arrays |= {name: to_png(image) for name, image in images.items()}
        arrays |= {f"{_TUNED}{name}": value.astype(np.float16) for name, value in (self.tuned or {}).items()}
        about = {"format": _KIND.format, "generator": self.generator, "turns": str(self.turns)}
        with atomic_write(path, (SAVED,), overwrite) as part:
            try:
                part.write_bytes(save({key: np.ascontiguousarray(value) for key, value in arrays.items()}, about))
            except OSError as error:
                raise write_error(path, error) from error

    @classmethod
    def load(cls, path: str | Path) -> Head:
        """Returns a head from a file that `save` wrote.

        Args:
            path: the file.

        Raises:
            BadInput: no such file, a file of another kind, or a value out of range.
        """
        with open_saved(Path(path), _KIND, "numpy") as (file, about):
            keys, count = set(file.keys()), file.get_slice("landmarks").get_shape()[0]
            check_layout(file, _KIND.noun, _layout(count, keys))
            arrays = {key: file.get_tensor(key) for key in keys}
            points, confidence = arrays["landmarks"], arrays["confidence"].tolist()
            faces = [Landmarks.from_array(array, sure) for array, sure in zip(points, confidence, strict=True)]
            left, top, side, size = arrays["crop"].tolist()
            images = {key: from_png(arrays[key], MAX_TEXTURE_PIXELS**2) for key in _images(count)}
            textures, heads = (np.stack([images[f"{name}_{i}"] for i in range(count)]) for name in ("texture", "head"))
            picture, crop = from_png(arrays["picture"], MAX_PICTURE_PIXELS), Crop(left, top, side, int(size))
            tuned = {k.removeprefix(_TUNED): v.astype(np.float32) for k, v in arrays.items() if k.startswith(_TUNED)}
            return cls(
                arrays["e_hat"], arrays["style"], textures, heads, images["body"], images["background"], faces,
                picture, crop, about["generator"], tuned or None, int(about.get("turns", "0")),
            )  # fmt: skip


def _images(count: int) -> list[str]:
    """Returns the names of the images in a file, besides the picture."""
    return ["body", "background", *(f"{name}_{i}" for i in range(count) for name in ("texture", "head"))]


def _layout(count: int, keys: set[str]) -> Layout:
    """Returns what a file of `count` source images holds, with those of its keys that are tuned weights."""
    layout: dict[str, Any] = dict.fromkeys(("e_hat", "style", "confidence"), ("F32", (None,)))
    layout |= dict.fromkeys(("picture", *_images(count)), ("U8", (None,)))
    layout |= {"landmarks": ("F32", (count, None, 3)), "crop": (None, (4,))}  # a full crop was stored as integers
    return layout | {key: ("F16", None) for key in keys if key.startswith(_TUNED)}


def _all_within(values: np.ndarray, largest: float) -> bool:
    """Returns whether all values are numbers of at most this absolute value. NaN is none."""
    return bool((np.abs(values) <= largest).all())


def _require(fits: bool, came: str, expected: str) -> None:
    """Raises BadInput for a value of a head that does not fit."""
    if not fits:
        raise BadInput(f"head: got {came}, expected {expected}")
