"""Reads the files in which the library saves its own values: heads and motions, as `.safetensors`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open

from fewshot_heads.errors import BadInput, printable
from fewshot_heads.media.files import check_readable
from fewshot_heads.media.images import check_size, open_image

# For each array in a file its type, as safetensors names it, and its shape. None is any type, length or shape.
Layout = Mapping[str, tuple[str | None, tuple[int | None, ...] | None]]

_MALFORMED = (
    OSError, SafetensorError, LookupError, ValueError, TypeError, ArithmeticError, RecursionError,
)  # fmt: skip
_IMAGE = Path("an image inside")  # name in messages


class SavedKind(NamedTuple):
    """A kind of file.

    Attributes:
        noun: what it holds, for messages.
        format: name and version, which the file's metadata hold as "format".
        max_bytes: size of the largest file that is read.
        again: what to do about a file that does not fit, for messages.
        source: what makes such a file, for messages.
    """

    noun: str
    format: str
    max_bytes: int
    again: str
    source: str

    def is_named_by(self, about: dict[str, str]) -> bool:
        """Returns whether a file's metadata name this kind, in any version."""
        return about.get("format", "").startswith(self.format.rstrip("0123456789"))


@contextmanager
def open_saved(path: Path, kind: SavedKind, framework: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Gives the arrays of a file, as `safetensors.safe_open` does, and its metadata.

    Args:
        path: the file.
        kind: what it must hold.
        framework: type of the arrays, "pt" or "numpy".

    Raises:
        BadInput: no such file, a file of another kind or version, or what is done with it finds a value that does not
            fit.
    """
    check_readable(path)
    if path.stat().st_size > kind.max_bytes:
        raise BadInput(f"{path}: too large for a {kind.noun}; {kind.again}")
    about: dict[str, str] = {}
    try:
        with safe_open(path, framework) as file:
            about = file.metadata() or {}
            if about.get("format") != kind.format:
                raise LookupError("format")
            yield file, about
    except BadInput as error:
        raise BadInput(f"{path}: {error}; {kind.again}") from error
    except _MALFORMED as error:
        if kind.is_named_by(about) and about["format"] != kind.format:
            raise BadInput(f"{path}: a {kind.noun} of another version of fewshot_heads; {kind.again}") from error
        raise BadInput(f"{path}: not a {kind.noun} saved by fewshot_heads; {kind.source}") from error


def check_layout(file: Any, noun: str, layout: Layout) -> None:
    """Raises BadInput unless a file holds these arrays and no others. No array is read.

    Args:
        file: of `open_saved`. A missing array is left to it.
        noun: what the file holds, for the message.
        layout: the arrays.
    """
    unknown = sorted(set(file.keys()) - layout.keys())
    if unknown:
        raise BadInput(f"{noun}: got an unknown array {printable(unknown[0])}, expected none")
    for name, (kind, shape) in layout.items():
        array = file.get_slice(name)
        came, sides = array.get_dtype(), array.get_shape()
        fits = kind in (None, came) and (shape is None or len(sides) == len(shape))
        if not fits or any(wanted not in (None, side) for side, wanted in zip(sides, shape or sides, strict=True)):
            expected = [side or "any" for side in shape or sides]
            raise BadInput(f"{noun}: got {printable(name)} {came} {sides}, expected {kind or came} {expected}")


def to_png(image: np.ndarray) -> np.ndarray:
    """Returns an image as the bytes of a PNG file, uint8 [N].

    Args:
        image: uint8 RGB or RGBA [H, W, 3 or 4].
    """
    code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return cv2.imencode(".png", cv2.cvtColor(image, code))[1].ravel()


def from_png(data: np.ndarray, max_pixels: int) -> np.ndarray:
    """Returns the image that `to_png` stored, uint8 RGB or RGBA.

    Args:
        data: uint8 [N].
        max_pixels: most pixels of the image.

    Raises:
        BadInput: not a PNG, damaged, or too large.
    """
    with open_image(_IMAGE, io.BytesIO(data.tobytes()), ("PNG",)) as image:
        check_size(str(_IMAGE), *image.size, max_pixels)
        return np.array(image)


def holds(path: Path, kind: SavedKind) -> bool:
    """Returns whether a file says that it is of a kind, in any version.

    Args:
        path: any path.
        kind: the kind.
    """
    if not path.is_file():
        return False
    try:
        with safe_open(path, "numpy") as file:
            return kind.is_named_by(file.metadata() or {})
    except (OSError, SafetensorError, ValueError):
        return False
