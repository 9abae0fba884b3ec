"""Study: what identity lacks in heads that turn. Parts of the true picture are put into each result.

python -m benchmarks.studies.identity people=FOLDER csim=FILE

Prints CSIM by turn, of the results as they are and with each part. A part that raises it is where a result is wrong.
"""

from __future__ import annotations

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks import common
from benchmarks.judge import Judge
from benchmarks.turned import TURNS, turned_cases
from fewshot_heads.cli.config import load_config
from fewshot_heads.errors import BadInput, NoFaceFound
from fewshot_heads.imaging.masks import soft_hull
from fewshot_heads.landmarks import BROWS, LIPS, Landmarks
from fewshot_heads.landmarks.aspect_ratio import EYES_AND_BROWS

_NOSE = slice(27, 36)
_FINE_PIXELS, _COARSE_PIXELS = 2.0, 6.0  # standard deviations that separate detail from the rest
_MARGIN_FACE_FRACTION = 0.03  # of the face's size, around the landmarks of a part


def mixtures(result: np.ndarray, truth: np.ndarray, face: Landmarks) -> dict[str, np.ndarray]:
    """Returns title -> the result with a part of the truth, uint8 [S, S, 3].

    Args:
        result: uint8 [S, S, 3].
        truth: uint8 [S, S, 3].
        face: landmarks of the truth, pixels.
    """
    own, true = result.astype(np.float32), truth.astype(np.float32)
    size, margin = len(result), _MARGIN_FACE_FRACTION * face.size
    points = face.points
    around_eyes = [np.vstack([points[eye], points[brow]]) for eye, brow in EYES_AND_BROWS]
    eyes = np.maximum.reduce([soft_hull(outline, size, margin) for outline in around_eyes])
    mouth = soft_hull(points[LIPS], size, margin)
    nose = soft_hull(points[_NOSE], size, margin) * (1 - eyes) * (1 - mouth)
    whole = soft_hull(points[: BROWS.stop], size)
    masks = {
        "eyes and brows": eyes, "nose": nose, "mouth": mouth, "all three": np.maximum.reduce([eyes, nose, mouth]),
        "rest of the face": whole * (1 - eyes) * (1 - nose) * (1 - mouth), "outside of the face": 1 - whole,
    }  # fmt: skip
    parts = {title: own + mask[..., None] * (true - own) for title, mask in masks.items()}
    for sigma in (_FINE_PIXELS, _COARSE_PIXELS):
        soft_own, soft_true = (cv2.GaussianBlur(image, (0, 0), sigma) for image in (own, true))
        parts[f"finer than {sigma:g} pixels"] = soft_own + true - soft_true
        parts[f"coarser than {sigma:g} pixels"] = soft_true + own - soft_own
    parts["exact registration (optical flow)"] = registered(result, truth)
    parts["contrast of the finest detail, 1.3 times"] = own + 0.3 * (own - cv2.GaussianBlur(own, (0, 0), 1))
    parts["mean and deviation of colors"] = matched_colors(own, true, whole > 0.5)
    return {title: image.round().clip(0, 255).astype(np.uint8) for title, image in parts.items()}


def registered(result: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the result, each pixel moved to where the truth shows the same (Kroeger et al., ECCV 2016), [S, S, 3]."""
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (truth, result)]
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    flow = search.calc(*gray, None)
    y, x = np.mgrid[: len(result), : len(result)].astype(np.float32)
    moved = x + flow[..., 0], y + flow[..., 1]
    return cv2.remap(result, *moved, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def matched_colors(own: np.ndarray, true: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Returns the result [S, S, 3] with mean and deviation of the true colors inside a face, bool [S, S]."""
    gain = true[face].std(0) / np.maximum(own[face].std(0), 1e-3)
    return (own - own[face].mean(0)) * gain + true[face].mean(0)


def main(overrides: list[str]) -> None:
    """Prints the table."""
    chosen = load_config("benchmark", ["columns=[realtime]", "videos=false", *overrides])
    if not chosen["people"]:
        raise BadInput("people=FOLDER is missing: pictures in several poses with an index.tsv")
    judge, found = Judge(chosen), dict[str, dict[str, dict[str, list[float]]]]()
    for case in tqdm(turned_cases(chosen["people"], chosen["split"]), unit="pair", disable=None):
        scene, (number,), _ = judge.scene(case)
        truth, face = scene.driver[number], scene.driver_faces[number]
        result = judge.columns["realtime"](scene)[number]
        if face is None:
            raise NoFaceFound(f"{case.name}: no face in the target")
        images = {"": truth, "none: the results": result} | mixtures(result, truth, face)
        embeddings = judge.embedded(np.stack(list(images.values())), [scene.face(image) for image in images.values()])
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        for title, value in zip(images, embeddings @ embeddings[0], strict=True):
            people = found.setdefault(title, {}).setdefault(case.protocol, {})
            people.setdefault(case.source.identity, []).append(float(value))
    print("| true part | " + " | ".join(name.replace("_", " ") for name in TURNS) + " |\n|---|" + "---:|" * len(TURNS))
    del found[""]  # the truth
    for title, protocols in found.items():
        means = [np.nanmean([np.nanmean(values) for values in protocols[name].values()]) for name in TURNS]
        print(f"| {title} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")


if __name__ == "__main__":
    common.run(main, __doc__)
