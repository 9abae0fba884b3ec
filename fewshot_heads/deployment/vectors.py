"""Test data of one animation: what the networks read and give, and what the geometry is computed from.

With the data, a program animates the head without the geometry, and a port of the geometry is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot_heads.head import Head
from fewshot_heads.imaging.convert import to_uint8
from fewshot_heads.landmarks import Landmarks
from fewshot_heads.landmarks.stickman import draw_stickman
from fewshot_heads.rendering.eyelids import open_eyelids
from fewshot_heads.rendering.renderer import HeadRenderer

HEAD = "head.npz"
FRAMES = "frames"  # folder of one file a frame


class Kept(NamedTuple):
    """An array of a file.

    Attributes:
        encoding: key of `ENCODINGS`.
        meaning: what the array is.
    """

    encoding: str
    meaning: str


ENCODINGS = {
    "as it is": "the values themselves",
    "RGB": "uint8 [..., H, W, 3]; networks read value / 127.5 - 1, channels first",
    "RGBA": "uint8 [..., H, W, 4]; networks read RGB as above and alpha / 255, channels first",
}
_FACE = "x, y in pixels of the crop S x S, and depth; the points of fewshot_heads.Landmarks.to_array"
_INPUT = "input of the generator"
OF_HEAD = {
    "source": Kept("RGB", "input frames of the embedder: the crop of the source image, S x S"),
    "source_stickman": Kept("RGB", "input stickmen of the embedder"),
    "e_hat": Kept("as it is", "output of the embedder"),
    "style": Kept("as it is", "output of the embedder"),
    "images": Kept("as it is", _INPUT),
    "large_images": Kept("RGBA", _INPUT),
    "color_matrix": Kept("as it is", _INPUT),
    "source_landmarks": Kept("as it is", f"of the geometry: {_FACE}"),
    "body": Kept("RGBA", "of the geometry: body layer, complete behind the head, R x R"),
    "clean_background": Kept("RGB", "of the geometry: background without the person, R x R"),
}
OF_FRAME = {
    "landmarks": Kept("as it is", f"of the geometry: {_FACE}; with the eyes as open as in the source image"),
    "stickman": Kept("RGB", _INPUT),
    "flows": Kept("as it is", _INPUT),
    "weights": Kept("as it is", _INPUT),
    "confidence": Kept("as it is", _INPUT),
    "background": Kept("as it is", _INPUT),
    "disocclusion": Kept("as it is", _INPUT),
    "large_background": Kept("RGB", _INPUT),
    "expected": Kept("RGB", "frame R x R that the library composites, before irises, eyelids and mouth"),
}


def write_head(renderer: HeadRenderer, head: Head, folder: Path) -> None:
    """Writes what all frames of a head share.

    Args:
        renderer: of the head.
        head: a head from one source image.
        folder: where `HEAD` is written.
    """
    views = renderer.large.views
    arrays = {
        "source": head.crop.cut(head.picture),
        "source_stickman": draw_stickman(head.landmarks[0].points, renderer.size),
        "e_hat": head.e_hat,
        "style": head.style,
        "images": renderer.small.views.astype(np.float16),
        "large_images": _rgba(views),
        "color_matrix": renderer.color_matrix.astype(np.float32),
        "source_landmarks": head.landmarks[0].to_array(),
        "body": _rgba(renderer.large.behind.body),
        "clean_background": to_uint8(renderer.large.behind.background),
    }
    _save(folder / HEAD, arrays, OF_HEAD)


def write_frames(renderer: HeadRenderer, faces: Sequence[Landmarks], folder: Path) -> None:
    """Writes a file for each frame.

    Args:
        renderer: of the head. Its generator makes the expected frames.
        faces: landmarks of the frames, pixels of the crop.
        folder: where the folder `FRAMES` is made.
    """
    (folder / FRAMES).mkdir()
    for number, face in enumerate(faces):
        visibility = [renderer.visibility(face)]
        inputs = renderer.inputs([face], visibility)
        texture = inputs.texture
        frame = renderer.composite([face], visibility, renderer.style)
        arrays = {
            "landmarks": open_eyelids(face, visibility[0].eyes).to_array(),
            "stickman": to_uint8(inputs.stickmen[0]),
            "flows": texture.flows[0],
            "weights": texture.weights[0],
            "confidence": texture.confidence[0].astype(np.float16),
            "background": texture.background[0].astype(np.float16),
            "disocclusion": texture.disocclusion[0].astype(np.float16),
            "large_background": to_uint8(inputs.large.background[0]),
            "expected": to_uint8(frame[0]),
        }
        _save(folder / FRAMES / f"{number:04d}.npz", arrays, OF_FRAME)


def described(path: Path, kept: dict[str, Kept]) -> list[dict[str, Any]]:
    """Returns type, shape and meaning of the arrays of a file.

    Args:
        path: the file.
        kept: what is known of its arrays.
    """
    with np.load(path) as arrays:
        return [
            {"name": name, "type": str(arrays[name].dtype), "shape": list(arrays[name].shape), **about._asdict()}
            for name, about in kept.items()
        ]


def _rgba(layers: np.ndarray) -> np.ndarray:
    """Returns layers [..., 4, R, R], colors -1 to 1 and alpha 0 to 1, as uint8 [..., R, R, 4]."""
    colors, alpha = (layers[..., :3, :, :] + 1) * 127.5, layers[..., 3:, :, :] * 255
    return np.moveaxis(np.concatenate([colors, alpha], -3).round().clip(0, 255).astype(np.uint8), -3, -1)


def _save(path: Path, arrays: dict[str, np.ndarray], kept: dict[str, Kept]) -> None:
    assert arrays.keys() == kept.keys()
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
