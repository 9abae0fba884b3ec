"""Animates an exported head with ONNX Runtime and numpy: no torch, no fewshot_heads, no geometry.

python -m fewshot_heads.export -o exported examples/mona_lisa.jpg examples/driver.mp4
python examples/onnx_animate.py exported out.mp4
"""

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnxruntime


def signed(image: np.ndarray) -> np.ndarray:
    """Returns an image uint8 [..., H, W, 3 or 4] as networks read it: RGB -1 to 1, alpha 0 to 1, channels first."""
    scaled = image.astype(np.float32) / 127.5 - 1
    scaled[..., 3:] = image[..., 3:] / np.float32(255)
    return np.moveaxis(scaled, -1, -3)


def frames(folder: Path) -> Iterator[np.ndarray]:
    """Yields the frames of an export, uint8 [R, R, 3]."""
    embedder, generator = (onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("embedder", "generator"))
    head = np.load(folder / "head.npz")
    source, stickman = (signed(head[name])[None, None] for name in ("source", "source_stickman"))
    _, style = embedder.run(None, {"frames": source, "stickmen": stickman})
    of_head = {
        "style": style,
        "images": head["images"][None].astype(np.float32),
        "large_images": signed(head["large_images"])[None],
        "color_matrix": head["color_matrix"],
    }
    for path in sorted((folder / "frames").glob("*.npz")):
        arrays = np.load(path)
        of_frame = {name: signed(arrays[name])[None] for name in ("stickman", "large_background")}
        for name in ("flows", "weights", "confidence", "background", "disocclusion"):
            of_frame[name] = arrays[name][None].astype(np.float32)
        (frame,) = generator.run(None, of_head | of_frame)
        yield np.rint((frame[0].transpose(1, 2, 0) + 1) * 127.5).clip(0, 255).astype(np.uint8)


def main(folder: str | Path, output: str | Path) -> None:
    contract = json.loads((Path(folder) / "contract.json").read_text())
    with av.open(str(output), "w") as container:
        container.metadata["comment"] = "Synthetic media, animated by fewshot_heads"
        video = container.add_stream("libx264", Fraction(contract["data"]["rate"]).limit_denominator(1001))
        video.height = video.width = contract["data"]["resolution"]
        for image in frames(Path(folder)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(video.encode())


if __name__ == "__main__":
    main(*sys.argv[1:3])
